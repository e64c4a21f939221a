{{- /* The jobs: the command, the role in the database, whether it reads Kafka, and whether this version of the
service lacks the command, so that the job cannot be enabled. */ -}}
{{- define "analytics.jobs" -}}
verify: {command: [analytics-jobs, verify], role: admin}
verifyFull: {command: [analytics-jobs, verify, --full], role: admin}
maintain: {command: [analytics-jobs, maintain], role: owner}
audit: {command: [analytics-ingest, audit], role: ingest, kafka: true}
anomalies: {command: [analytics-jobs, anomalies], role: admin}
statements: {command: [analytics-jobs, statements, close], role: admin}
months: {command: [analytics-jobs, months], role: admin}
{{- end -}}
