{{- define "passerelle.name" -}}
{{- if contains "passerelle" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-passerelle" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "passerelle.selector" -}}
app.kubernetes.io/name: passerelle
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "passerelle.labels" -}}
{{ include "passerelle.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "passerelle.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* What depends on several values, which the schema cannot say with a message of its own. */ -}}
{{- define "passerelle.refusals" -}}
{{- if and (gt (int .Values.replicas) 1) (ne .Values.store.type "postgresql") }}
{{- fail "replicas: more than one gateway needs store.type: postgresql, because gateways with SQLite files of their own do not know each other's writes" }}
{{- end }}
{{- if and (eq .Values.store.type "postgresql") (not .Values.store.postgresql.existingSecret) }}
{{- fail "store.postgresql.existingSecret: name the Secret with the URL of the database and the key of the store" }}
{{- end }}
{{- if not .Values.config }}
{{- fail "config: write the merchants and their connections, as in config/example.toml" }}
{{- end }}
{{- end }}

{{- /* The names of the Service of the operator's listener, as an array of TOML. */ -}}
{{- define "passerelle.operatorHosts" -}}
{{- $name := printf "%s-operator" (include "passerelle.name" .) }}
{{- $inNamespace := printf "%s.%s" $name .Release.Namespace }}
{{- list $name $inNamespace (printf "%s.svc" $inNamespace) (printf "%s.svc.cluster.local" $inNamespace) | toJson }}
{{- end }}
