{{/*
The templates that a chart with this one as a dependency uses, with the context `.Subcharts.defenseclaw`:
defenseclaw.container, defenseclaw.gitContainers, defenseclaw.gitInit, defenseclaw.volumes, defenseclaw.podSecurityContext.
Each but the last is a list.
*/}}

{{- define "defenseclaw.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "defenseclaw.securityContext" -}}
runAsNonRoot: true
runAsUser: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* How the kubelet asks: from the node over HTTP, or by a command in the container, which asks over the socket in the data directory. */}}
{{- define "defenseclaw.probe" -}}
{{- if eq .values.Values.probes "exec" -}}
exec: {command: [/defenseclaw-gateway, healthcheck, --data-dir=/var/lib/defenseclaw/home, --timeout=4s{{ with .flag }}, {{ . }}{{ end }}]}
{{- else -}}
httpGet: {path: {{ .path }}, port: {{ .values.Values.port }}, scheme: {{ include "defenseclaw.scheme" .values }}}
{{- end -}}
{{- end }}

{{- define "defenseclaw.image" -}}
{{- $repository := required "image.repository is required: where the image of `make image` was pushed to" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* sourceArgs are the flags for a policy that is fetched: its own values are .source, their name is .name. */}}
{{- define "defenseclaw.sourceArgs" -}}
- {{ printf "--source=%s" (required (printf "policy.%s.url is required" .name) .source.url) | quote }}
{{- if .source.poll }}
- {{ printf "--source-poll=%s" .source.poll | quote }}
{{- end }}
{{- if .source.labels }}
- {{ printf "--agent-labels=%s" .source.labels | quote }}
{{- end }}
{{- if .source.creds.secret }}
- --source-creds=/etc/defenseclaw/source-creds/{{ .source.creds.key }}
{{- end }}
{{- if .source.ca.configMap }}
- --source-ca=/etc/defenseclaw/source-ca/{{ .source.ca.key }}
{{- end }}
{{- if .source.keys.configMap }}
- --source-keys=/etc/defenseclaw/source-keys/{{ .source.keys.key }}
{{- else if eq .name "fleet" }}
{{- fail "policy.fleet.keys.configMap is required: an agent serves what the fleet's keys signed alone" }}
{{- end }}
{{- end -}}

{{- define "defenseclaw.container" -}}
{{- $p := .Values.policy -}}
- name: defenseclaw
  image: {{ include "defenseclaw.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    - serve
    - --data-dir=/var/lib/defenseclaw/home
    - --api-bind=0.0.0.0
    - --api-port={{ .Values.port }}
    - --shutdown-delay={{ .Values.shutdownDelay }}
    {{- if .Values.tls.secret }}
    - --tls-cert=/etc/defenseclaw/tls/tls.crt
    - --tls-key=/etc/defenseclaw/tls/tls.key
    {{- else }}
    - --insecure
    {{- end }}
    {{- if eq $p.from "configMap" }}
    - --policy-dir=/etc/defenseclaw/policies
    {{- else if eq $p.from "git" }}
    - --policy-dir={{ clean (printf "/git/current/%s" $p.git.path) }}
    {{- else }}
    {{- include "defenseclaw.sourceArgs" (dict "name" $p.from "source" (get $p $p.from)) | nindent 4 }}
    {{- end }}
    {{- with .Values.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    - name: DEFENSECLAW_GATEWAY_TOKEN
      valueFrom:
        secretKeyRef:
          name: {{ required "token.secret is required: a Secret with the token of the callers" .Values.token.secret }}
          key: {{ .Values.token.key }}
    {{- with .Values.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {name: policy, containerPort: {{ .Values.port }}, protocol: TCP}
  # The start may load a large policy. Readiness tells callers; a process that lives is not ended for a policy that does not.
  startupProbe:
    {{- include "defenseclaw.probe" (dict "values" . "path" "/health" "flag" "--live") | nindent 4 }}
    periodSeconds: 1
    {{- if eq .Values.probes "exec" }}
    timeoutSeconds: 5
    {{- end }}
    failureThreshold: 180
  livenessProbe:
    {{- include "defenseclaw.probe" (dict "values" . "path" "/health" "flag" "--live") | nindent 4 }}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    {{- include "defenseclaw.probe" (dict "values" . "path" "/health/ready" "flag" "") | nindent 4 }}
    periodSeconds: 2
    {{- if eq .Values.probes "exec" }}
    timeoutSeconds: 5
    {{- end }}
  securityContext:
    {{- include "defenseclaw.securityContext" . | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  volumeMounts:
    - {name: defenseclaw-data, mountPath: /var/lib/defenseclaw}
    {{- if eq $p.from "configMap" }}
    - {name: defenseclaw-policy, mountPath: /etc/defenseclaw/policies, readOnly: true}
    {{- else if eq $p.from "git" }}
    - {name: defenseclaw-git, mountPath: /git, readOnly: true}
    {{- else }}
    {{- range $what, $name := include "defenseclaw.sourceVolumes" . | fromJson }}
    - {name: defenseclaw-source-{{ $what }}, mountPath: /etc/defenseclaw/source-{{ $what }}, readOnly: true}
    {{- end }}
    {{- end }}
    {{- if .Values.tls.secret }}
    - {name: defenseclaw-tls, mountPath: /etc/defenseclaw/tls, readOnly: true}
    {{- end }}
{{- end -}}

{{/* sourceVolumes is {"creds": NAME, …}, as JSON, of what the source has. */}}
{{- define "defenseclaw.sourceVolumes" -}}
{{- $source := get .Values.policy .Values.policy.from -}}
{{- $all := dict -}}
{{- with $source.creds.secret }}{{ $_ := set $all "creds" . }}{{ end -}}
{{- with $source.ca.configMap }}{{ $_ := set $all "ca" . }}{{ end -}}
{{- with $source.keys.configMap }}{{ $_ := set $all "keys" . }}{{ end -}}
{{- toJson $all -}}
{{- end -}}

{{- define "defenseclaw.volumes" -}}
- name: defenseclaw-data
  {{- toYaml (default (dict "emptyDir" dict) .Values.dataVolume) | nindent 2 }}
{{- if eq .Values.policy.from "configMap" }}
- name: defenseclaw-policy
  configMap: {name: {{ include "defenseclaw.policyConfigMap" . }}}
{{- else if eq .Values.policy.from "git" }}
- name: defenseclaw-git
  emptyDir: {}
- name: defenseclaw-git-tmp
  emptyDir: {}
{{- else }}
{{- range $what, $name := include "defenseclaw.sourceVolumes" . | fromJson }}
- name: defenseclaw-source-{{ $what }}
  {{- if eq $what "creds" }}
  secret: {secretName: {{ $name }}, defaultMode: 0440}
  {{- else }}
  configMap: {name: {{ $name }}}
  {{- end }}
{{- end }}
{{- end }}
{{- if .Values.tls.secret }}
- name: defenseclaw-tls
  secret: {secretName: {{ .Values.tls.secret }}, defaultMode: 0440}
{{- end }}
{{- end -}}
