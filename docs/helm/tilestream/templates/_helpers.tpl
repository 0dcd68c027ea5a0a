{{- define "tilestream.labels" -}}
app.kubernetes.io/name: tilestream
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tilestream.secret" -}}
{{ .Values.secret.existing | default (printf "%s-tilestream" .Release.Name) }}
{{- end }}
