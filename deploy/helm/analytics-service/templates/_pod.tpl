{{- /*
A pod. The parameters, in one dict:
  root        the chart's root
  component   the label of the component
  values      the values of the workload: resources, extraEnv, tolerations and so on
  command     the program and its arguments
  role        the role in the database: ingest, read, owner or admin
  settings    settings of this workload only
  kafka, auth, notify  whether the process reads the settings of Kafka, of the API's tokens, of the webhook
  port        the name and the number of its port, if it has one, where it answers probes
  waits       whether an init container waits until the schema fits; ingest and the API wait by themselves
  restartPolicy, grace, preStop, hook
*/ -}}
{{- define "analytics.podTemplate" -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- $selector := include "analytics.selector" . | fromYaml }}
    {{- toYaml (merge $selector $values.podLabels $values.commonLabels) | nindent 4 }}
  {{- with .values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- /* A hook runs before the release has a ServiceAccount. */}}
  {{- if not (and .hook $values.serviceAccount.create) }}
  serviceAccountName: {{ include "analytics.serviceAccountName" .root }}
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ default 30 .grace }}
  {{- with .values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .port }}
  topologySpreadConstraints:
    {{- with .values.topologySpreadConstraints }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "analytics.selector" $ | nindent 10 }}
    {{- end }}
    {{- end }}
  {{- end }}
  {{- if .waits }}
  initContainers:
    - name: wait-for-schema
      {{- include "analytics.container" (merge (dict "command" (list "analytics-jobs" "migrate" "--wait") "isInit" true) .) | nindent 6 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      {{- include "analytics.container" . | nindent 6 }}
  {{- $volumes := include "analytics.volumes" . | fromYamlArray }}
  {{- with concat $volumes (default list .values.extraVolumes) }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "analytics.container" -}}
{{- $values := .root.Values -}}
image: {{ include "analytics.image" .root | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
command: {{ toJson .command }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- with .values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
env:
  {{- $env := include "analytics.env" . | trim }}
  {{- $env | nindent 2 }}
  {{- /* Of two variables of one name, the later one applies: an API that is read-only must not become read-write. */}}
  {{- range $extra := .values.extraEnv }}
  {{- range $env | fromYamlArray }}
  {{- if eq .name $extra.name }}
  {{- fail (printf "extraEnv of %s must not have %s, which the chart sets: use its value or settings" $.component .name) }}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- with .values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if and .port (not .isInit) }}
ports:
  - {name: {{ .port.name }}, containerPort: {{ .port.number }}, protocol: TCP}
livenessProbe:
  httpGet: {path: /health/live, port: {{ .port.name }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /health/ready, port: {{ .port.name }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}
{{- /* The pause of a program without a shell: Kubernetes 1.30 and later. */}}
{{- if and .preStop (not .isInit) (semverCompare ">=1.30.0" (include "analytics.kubeVersion" .root)) }}
lifecycle:
  preStop:
    sleep: {seconds: {{ .preStop }}}
{{- end }}
{{- with default false .isInit | ternary (dict "requests" (dict "cpu" "10m" "memory" "32Mi") "limits" (dict "memory" "128Mi")) .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $mounts := include "analytics.volumeMounts" . | fromYamlArray }}
{{- with concat $mounts (default list .values.extraVolumeMounts) }}
volumeMounts:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "analytics.env" -}}
{{ include "analytics.env.database" . }}
{{- if and .kafka (not .isInit) }}
{{ include "analytics.env.kafka" . }}
{{- end }}
{{- if and .auth (not .isInit) }}
{{ include "analytics.env.auth" . | trim }}
{{ include "analytics.env.metricsBusiness" . }}
{{- end }}
{{- if and .notify (not .isInit) $.root.Values.notify.existingSecret }}
{{ include "analytics.env.notify" . | trim }}
{{- end }}
{{ include "analytics.settings" . | trim }}
{{- end -}}

{{- define "analytics.volumes" -}}
{{- $values := .root.Values -}}
{{- $tls := include "analytics.tls" $values.kafka.tls | fromJson -}}
{{- with $values.database.tls.existingSecret }}
- name: database-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if and .kafka $tls.enabled $tls.existingSecret }}
- name: kafka-tls
  secret: {secretName: {{ $tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- if and .kafka (eq $values.kafka.sasl.mechanism "OAUTHBEARER") }}
- name: kafka-oauth
  secret:
    secretName: {{ $values.kafka.existingSecret }}
    defaultMode: 0440
    items: [{key: {{ $values.kafka.sasl.passwordKey }}, path: client-secret}]
{{- end }}
{{- end -}}

{{- define "analytics.volumeMounts" -}}
{{- $values := .root.Values -}}
{{- $tls := include "analytics.tls" $values.kafka.tls | fromJson -}}
{{- if $values.database.tls.existingSecret }}
- {name: database-tls, mountPath: /etc/analytics/database-tls, readOnly: true}
{{- end }}
{{- if and .kafka (not .isInit) $tls.enabled $tls.existingSecret }}
- {name: kafka-tls, mountPath: /etc/analytics/kafka-tls, readOnly: true}
{{- end }}
{{- if and .kafka (not .isInit) (eq $values.kafka.sasl.mechanism "OAUTHBEARER") }}
- {name: kafka-oauth, mountPath: /etc/analytics/kafka-oauth, readOnly: true}
{{- end }}
{{- end -}}
