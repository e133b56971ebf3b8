{{- define "countersign.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "countersign.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "countersign.labels" -}}
{{ include "countersign.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "countersign.onVolume" -}}
{{- if and .Values.keys.persistence.enabled (not .Values.keys.redis.existingSecret) (not .Values.keys.env.existingSecret) -}}true{{- end -}}
{{- end -}}

{{- /* A line that opens a table of TOML, `[name]` or `[[name]]`. */ -}}
{{- define "countersign.header" -}}
^\s*\[\[?\s*[A-Za-z0-9_."'-]+(\s*\.\s*[A-Za-z0-9_."'-]+)*\s*\]\]?\s*(#.*)?$
{{- end -}}

{{- /* One table, merged from the chart's values and `config`. Takes: config, table, and keys, a list of
[key, value, the name of the chart's value for it]. A key that both set is refused, since it would not be
clear which one counts. */ -}}
{{- define "countersign.table" -}}
{{- $header := include "countersign.header" . -}}
{{- $ours := printf "^\\s*\\[\\s*%s\\s*\\]\\s*(#.*)?$" .table -}}
{{- $in := false -}}
{{- $theirs := list -}}
{{- range splitList "\n" .config -}}
{{- if regexMatch $header . -}}
{{- $in = regexMatch $ours . -}}
{{- else if and $in (trim .) -}}
{{- $theirs = append $theirs . -}}
{{- end -}}
{{- end -}}
{{- $text := join "\n" $theirs -}}
{{- $lines := list -}}
{{- range .keys -}}
{{- $set := regexMatch (printf "(?m)^\\s*%s\\s*=" (index . 0)) $text -}}
{{- if and $set (index . 1) -}}
{{- fail (printf "config gives [%s] %s, which is also set by %s: leave one of them out" $.table (index . 0) (index . 2)) -}}
{{- end -}}
{{- if index . 1 -}}
{{- $lines = append $lines (printf "%s = %s" (index . 0) (index . 1)) -}}
{{- end -}}
{{- end -}}
{{- $lines = concat $lines $theirs -}}
{{- if $lines -}}
[{{ .table }}]
{{ join "\n" $lines }}
{{- end -}}
{{- end -}}

{{- /* The rest of `config`, to which the chart adds nothing. Takes: config, and part: "top" for the keys
before the first table, "tables" for the tables. */ -}}
{{- define "countersign.rest" -}}
{{- $header := include "countersign.header" . -}}
{{- $part := "top" -}}
{{- $lines := list -}}
{{- range splitList "\n" .config -}}
{{- if regexMatch $header . -}}
{{- $part = ternary "chart" "tables" (regexMatch `^\s*\[\s*(server|admin|upstream|signing)\s*\]\s*(#.*)?$` .) -}}
{{- end -}}
{{- if eq $part $.part -}}{{- $lines = append $lines . -}}{{- end -}}
{{- end -}}
{{- join "\n" $lines | trim -}}
{{- end -}}
