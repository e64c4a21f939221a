{{- /* The jobs: the command, the role in the database, and whether it reads Kafka. */ -}}
{{- define "analytics.jobs" -}}
verify: {command: [analytics-jobs, verify], role: admin}
verifyFull: {command: [analytics-jobs, verify, --full], role: admin}
partitions: {command: [analytics-jobs, partitions], role: owner}
purge: {command: [analytics-jobs, dead-letters, purge], role: owner}
maintain: {command: [analytics-jobs, maintain], role: owner}
audit: {command: [analytics-ingest, audit], role: ingest, kafka: true}
anomalies: {command: [analytics-jobs, anomalies], role: admin}
statements: {command: [analytics-jobs, statements], role: admin}
{{- end -}}
