{{- /* The name of the release's objects, up to their suffix. The name of a CronJob has at most 52 characters. */ -}}
{{- define "analytics.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- default $name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* The minor version of Kubernetes, such as 1.30.0, without what distributions and development builds append. */ -}}
{{- define "analytics.kubeVersion" -}}
{{ regexFind "[0-9]+\\.[0-9]+" .Capabilities.KubeVersion.Version }}.0
{{- end -}}

{{- define "analytics.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The labels by which objects find the pods of a component: (dict "root" $ "component" "api"). */ -}}
{{- define "analytics.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "analytics.labels" -}}
{{ include "analytics.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The metadata of an object: (dict "root" $ "component" "api" "suffix" "-api"). */ -}}
{{- define "analytics.metadata" -}}
name: {{ include "analytics.fullname" .root }}{{ .suffix }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- $labels := include "analytics.labels" . | fromYaml }}
  {{- with .labels }}
  {{- $labels = merge (deepCopy .) $labels }}
  {{- end }}
  {{- toYaml $labels | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "analytics.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "analytics.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- /* The Secret with the URL of a role: ingest, read, owner or admin. */ -}}
{{- define "analytics.databaseSecret" -}}
{{- $database := .root.Values.database -}}
{{- $own := "" -}}
{{- if ne .role "ingest" -}}
{{- $own = get $database (printf "%sExistingSecret" .role) -}}
{{- end -}}
{{- default $database.existingSecret $own -}}
{{- end -}}

{{- /* A map `tls` of the values, for which a boolean may stand, as JSON. */ -}}
{{- define "analytics.tls" -}}
{{ kindIs "bool" . | ternary (dict "enabled" .) . | toJson }}
{{- end -}}

{{- /* The paths of the API that a gateway may expose: everything but /health and /metrics. */ -}}
{{- define "analytics.publicPaths" -}}
{{- $settings := merge (deepCopy .Values.api.settings) .Values.settings -}}
{{- $base := default "" (get $settings "API_BASE_PATH") -}}
{{- if $base -}}
- {path: {{ $base }}, type: Prefix}
{{- else -}}
- {path: /, type: Exact}
{{- range list "/api" "/assets" "/sellers" "/months" "/events" "/dead-letters" "/proofs" "/embed" }}
- {path: {{ . }}, type: Prefix}
{{- end }}
{{- end -}}
{{- end -}}
