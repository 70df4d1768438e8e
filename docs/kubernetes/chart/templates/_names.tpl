{{- define "defenseclaw.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "defenseclaw.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "defenseclaw.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "defenseclaw.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "defenseclaw.selector" -}}
app.kubernetes.io/name: {{ include "defenseclaw.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "defenseclaw.labels" -}}
{{ include "defenseclaw.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "defenseclaw.scheme" -}}
{{- if .Values.tls.secret }}HTTPS{{ else }}HTTP{{ end -}}
{{- end -}}

{{- define "defenseclaw.policyConfigMap" -}}
{{- with .Values.policy.configMap -}}
{{- if .name }}{{ .name }}{{ else if .files }}{{ include "defenseclaw.fullname" $ }}-policy{{ else }}
{{- fail "policy.configMap needs a name, or files" }}{{ end -}}
{{- end -}}
{{- end -}}
