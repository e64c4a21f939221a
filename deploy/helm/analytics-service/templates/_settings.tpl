{{- /* Settings that every process has: those of all, those of `settings`, and those of the workload. */ -}}
{{- define "analytics.settings" -}}
{{- $values := .root.Values -}}
{{- $kafka := $values.kafka -}}
{{- $topics := default "" $kafka.topics -}}
{{- if kindIs "map" $topics -}}
{{- $pairs := list -}}
{{- range $family, $names := $topics -}}
{{- range (kindIs "slice" $names | ternary $names (list $names)) -}}
{{- $pairs = append $pairs (printf "%s=%s" $family .) -}}
{{- end -}}
{{- end -}}
{{- $topics = join "," $pairs -}}
{{- end -}}
{{- $own := dict
    "BASE_CURRENCY" $values.baseCurrency
    "BUSINESS_TIMEZONE" $values.businessTimezone
    "KAFKA_GROUP_ID" $kafka.groupId
    "KAFKA_TOPICS" $topics
    "KAFKA_EXTRA_TOPICS" (join "," $kafka.extraTopics) -}}
{{- $all := merge (deepCopy (default dict .settings)) (deepCopy $values.settings) $own -}}
{{- range $name, $value := $all }}
{{- /* A large number in values is a float, which would be printed as 5.36870912e+09. */ -}}
{{- $text := kindIs "float64" $value | ternary (toJson $value) (toString $value) }}
{{- if ne $text "" }}
- name: {{ $name }}
  value: {{ $text | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "analytics.env.database" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "analytics.databaseSecret" . }}
      key: {{ .root.Values.database.existingSecretKey }}
{{- end -}}

{{- /* The settings of tokens. The Secret has one of the keys; the API says which are missing if it has none. */ -}}
{{- define "analytics.env.auth" -}}
{{- $auth := .root.Values.auth -}}
{{- if $auth.existingSecret }}
{{- range list "JWT_SECRET" "JWT_PUBLIC_KEY" "EMBED_SIGNING_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $auth.existingSecret }}
      key: {{ . }}
      optional: true
{{- end }}
{{- end }}
{{- range $name, $value := dict "JWT_JWKS" $auth.jwksUrl "JWT_ISSUER" $auth.issuer "JWT_AUDIENCE" $auth.audience }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Who may read /metrics/business: off, open or token. */ -}}
{{- define "analytics.metricsBusiness" -}}
{{- $settings := merge (deepCopy .Values.api.settings) .Values.settings -}}
{{ get $settings "METRICS_BUSINESS" | default "off" | toString }}
{{- end -}}

{{- define "analytics.env.metricsBusiness" -}}
{{- with .root.Values.metrics.business.existingSecret -}}
- name: METRICS_BUSINESS_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: METRICS_BUSINESS_TOKEN
{{- end }}
{{- end -}}

{{- /* Where jobs send what they find, and the secret that signs it. */ -}}
{{- define "analytics.env.notify" -}}
{{- range $name, $optional := dict "NOTIFY_WEBHOOK_URL" false "NOTIFY_WEBHOOK_SECRET" true }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $.root.Values.notify.existingSecret }}
      key: {{ $name }}
      {{- if $optional }}
      optional: true
      {{- end }}
{{- end }}
{{- end -}}

{{- /* The properties of librdkafka, one per line, without those of SASL, whose values are secret. */ -}}
{{- define "analytics.kafkaProperties" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $properties := deepCopy $kafka.properties -}}
{{- $tls := include "analytics.tls" $kafka.tls | fromJson -}}
{{- if $kafka.sasl.mechanism -}}
{{- $_ := set $properties "security.protocol" (ternary "SASL_SSL" "SASL_PLAINTEXT" $tls.enabled) -}}
{{- $_ := set $properties "sasl.mechanisms" $kafka.sasl.mechanism -}}
{{- if ne $kafka.sasl.mechanism "OAUTHBEARER" -}}
{{- $_ := set $properties "sasl.username" "$(KAFKA_USERNAME)" -}}
{{- $_ := set $properties "sasl.password" "$(KAFKA_PASSWORD)" -}}
{{- end -}}
{{- else if $tls.enabled -}}
{{- $_ := set $properties "security.protocol" "SSL" -}}
{{- end -}}
{{- if $tls.enabled -}}
{{- $folder := "/etc/analytics/kafka-tls" -}}
{{- $authority := ternary (printf "%s/ca.crt" $folder) "/etc/ssl/certs/ca-certificates.crt" (not (empty $tls.existingSecret)) -}}
{{- $_ := set $properties "ssl.ca.location" $authority -}}
{{- if $tls.clientCertificate -}}
{{- $_ := set $properties "ssl.certificate.location" (printf "%s/tls.crt" $folder) -}}
{{- $_ := set $properties "ssl.key.location" (printf "%s/tls.key" $folder) -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := $properties }}
{{ $key }}={{ $value }}
{{- end }}
{{- end -}}

{{- define "analytics.env.kafka" -}}
{{- $kafka := .root.Values.kafka -}}
- name: KAFKA_BROKER
  value: {{ $kafka.brokers | quote }}
- name: KAFKA_START
  value: {{ $kafka.start | quote }}
{{- if and $kafka.existingSecret (not $kafka.sasl.mechanism) }}
- name: KAFKA_PROPERTIES
  valueFrom:
    secretKeyRef:
      name: {{ $kafka.existingSecret }}
      key: {{ $kafka.propertiesKey }}
{{- else }}
{{- if eq $kafka.sasl.mechanism "OAUTHBEARER" }}
- name: KAFKA_OAUTH_TOKEN_URL
  value: {{ $kafka.sasl.oauth.tokenUrl | quote }}
- name: KAFKA_OAUTH_CLIENT_ID
  valueFrom:
    secretKeyRef:
      name: {{ $kafka.existingSecret }}
      key: {{ $kafka.sasl.usernameKey }}
- name: KAFKA_OAUTH_CLIENT_SECRET_FILE
  value: /etc/analytics/kafka-oauth/client-secret
{{- with $kafka.sasl.oauth.scope }}
- name: KAFKA_OAUTH_SCOPE
  value: {{ . | quote }}
{{- end }}
{{- with $kafka.sasl.oauth.caKey }}
- name: KAFKA_OAUTH_CA_FILE
  value: /etc/analytics/kafka-tls/{{ . }}
{{- end }}
{{- else if $kafka.sasl.mechanism }}
{{- range $name, $key := dict "KAFKA_USERNAME" $kafka.sasl.usernameKey "KAFKA_PASSWORD" $kafka.sasl.passwordKey }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $kafka.existingSecret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- with include "analytics.kafkaProperties" . | trim }}
- name: KAFKA_PROPERTIES
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}
