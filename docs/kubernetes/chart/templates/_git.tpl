{{/* gitInit fetches once, so that the sidecar starts with a policy; gitContainers fetch on. Both are empty without policy.from: git. */}}
{{- define "defenseclaw.gitInit" -}}
{{- if eq .Values.policy.from "git" -}}
{{- include "defenseclaw.gitContainer" (dict "name" "defenseclaw-git-init" "once" true "values" .Values) -}}
{{- end -}}
{{- end -}}

{{- define "defenseclaw.gitContainers" -}}
{{- if eq .Values.policy.from "git" -}}
{{- include "defenseclaw.gitContainer" (dict "name" "defenseclaw-git" "once" false "values" .Values) -}}
{{- end -}}
{{- end -}}

{{- define "defenseclaw.gitContainer" -}}
{{- $git := .values.policy.git -}}
- name: {{ .name }}
  image: {{ $git.image | quote }}
  args:
    - {{ printf "--repo=%s" (required "policy.git.repo is required" $git.repo) | quote }}
    - {{ printf "--ref=%s" $git.ref | quote }}
    - --root=/git
    - --link=current
    - --depth=1
    {{- if .once }}
    - --one-time
    {{- else }}
    - --period={{ $git.period }}
    {{- end }}
  {{- with $git.secret }}
  env:
    - name: GITSYNC_USERNAME
      valueFrom: {secretKeyRef: {name: {{ . }}, key: username}}
    - name: GITSYNC_PASSWORD
      valueFrom: {secretKeyRef: {name: {{ . }}, key: password}}
  {{- end }}
  securityContext:
    {{- include "defenseclaw.securityContext" . | nindent 4 }}
  resources:
    {{- toYaml $git.resources | nindent 4 }}
  volumeMounts:
    - {name: defenseclaw-git, mountPath: /git}
    - {name: defenseclaw-git-tmp, mountPath: /tmp}
{{- end -}}
