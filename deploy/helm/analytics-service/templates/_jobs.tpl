{{- /* The jobs: the command, the role in the database, whether it reads Kafka, whether it notifies, and whether this version of the
service lacks the command, so that the job cannot be enabled. */ -}}
{{- define "analytics.jobs" -}}
verify: {command: [analytics-jobs, verify], role: admin, notify: true}
verifyFull: {command: [analytics-jobs, verify, --full], role: admin, notify: true}
maintain: {command: [analytics-jobs, maintain], role: owner}
audit: {command: [analytics-ingest, audit], role: ingest, kafka: true}
anomalies: {command: [analytics-jobs, anomalies], role: admin, notify: true}
weekly: {command: [analytics-jobs, weekly], role: admin, notify: true}
statements: {command: [analytics-jobs, statements, close], role: admin}
months: {command: [analytics-jobs, months], role: admin}
{{- end -}}
