{{- /* Whether jobs wait for the schema: a hook has made it before they exist. */ -}}
{{- define "analytics.waits" -}}
{{- if ne .Values.migrations.mode "hook" }}true{{ end -}}
{{- end -}}

{{- /* The replicas of a Deployment, unless an autoscaler sets them. */ -}}
{{- define "analytics.replicas" -}}
{{- if or (not .autoscaling) (eq .autoscaling.type "none") }}
replicas: {{ .replicas }}
{{- end }}
{{- end -}}

{{- /* One Deployment: the parameters of analytics.podTemplate, and suffix and strategy. */ -}}
{{- define "analytics.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "analytics.metadata" . | nindent 2 }}
spec:
  {{- include "analytics.replicas" .values | trim | nindent 2 }}
  revisionHistoryLimit: 5
  progressDeadlineSeconds: {{ default 600 .progress }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      {{- toYaml (default (dict "maxSurge" 1 "maxUnavailable" 0) .values.strategy) | nindent 6 }}
  selector:
    matchLabels:
      {{- include "analytics.selector" . | nindent 6 }}
  template:
    {{- include "analytics.podTemplate" . | nindent 4 }}
{{- end -}}

{{- define "analytics.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "analytics.metadata" (merge (dict "annotations" .values.service.annotations) .) | nindent 2 }}
spec:
  type: {{ .values.service.type }}
  ports:
    - name: {{ .port.name }}
      port: {{ .values.service.port }}
      targetPort: {{ .port.name }}
      protocol: TCP
      appProtocol: http
  selector:
    {{- include "analytics.selector" . | nindent 4 }}
{{- end -}}

{{- define "analytics.hpa" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "analytics.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "analytics.fullname" .root }}{{ .suffix }}
  minReplicas: {{ .values.autoscaling.minReplicas }}
  maxReplicas: {{ .values.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .values.autoscaling.targetCPUUtilization }}}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: 600
{{- end -}}

{{- define "analytics.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "analytics.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "analytics.selector" . | nindent 6 }}
{{- end -}}
