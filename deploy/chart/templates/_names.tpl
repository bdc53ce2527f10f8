{{/* Names and labels. They keep the names that oauth2-proxy's chart gives them, because values of users include them. */}}

{{/* An alias, under which another chart takes this one in more than once, is a name of its own. */}}
{{- define "oauth2-proxy.chartName" -}}
{{- ternary "oauth2-proxy" .Chart.Name (eq .Chart.Name "conclave") -}}
{{- end -}}

{{- define "oauth2-proxy.name" -}}
{{- default (include "oauth2-proxy.chartName" .) .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "oauth2-proxy.fullname" -}}
{{- $name := default (include "oauth2-proxy.chartName" .) .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Pods carry NAME-HASH in a label of at most 63 characters, so the set's name is shorter than other names may be. */}}
{{- define "oauth2-proxy.setName" -}}
{{- include "oauth2-proxy.fullname" . | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "oauth2-proxy.peersName" -}}
{{- printf "%s-peers" (include "oauth2-proxy.setName" .) -}}
{{- end -}}

{{- define "oauth2-proxy.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "oauth2-proxy.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "oauth2-proxy.selectorLabels" }}
app.kubernetes.io/name: {{ include "oauth2-proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
Maps laid over each other, so that no key stands twice: helm takes the last one, but kustomize, through which Flux sends
every render, refuses the object; (list YAML …).
*/}}
{{- define "oauth2-proxy.over" -}}
{{- $all := dict -}}
{{- range . -}}
{{- $next := fromYaml . -}}
{{- if and (hasKey $next "Error") (eq (len $next) 1) -}}{{- fail $next.Error -}}{{- end -}}
{{- $all = mergeOverwrite $all $next -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{- define "oauth2-proxy.labels" }}
{{ include "oauth2-proxy.over" (list (include "oauth2-proxy.ownLabels" .) (tpl (.Values.customLabels | default dict | toYaml) .)) }}
{{- end }}

{{- define "oauth2-proxy.ownLabels" }}
helm.sh/chart: {{ include "oauth2-proxy.chart" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/component: authentication-proxy
app.kubernetes.io/part-of: {{ include "oauth2-proxy.name" . }}
{{- include "oauth2-proxy.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* Labels of an object; (list ROOT YAML …), of which the later win. */}}
{{- define "oauth2-proxy.allLabels" -}}
{{- $root := index . 0 -}}
{{- $own := list (printf "app: %s" (include "oauth2-proxy.name" $root)) (include "oauth2-proxy.labels" $root) -}}
{{- include "oauth2-proxy.over" (concat $own (rest .)) -}}
{{- end -}}

{{/* What every object's metadata begins with; (list ROOT NAME), and YAML of more labels. */}}
{{- define "oauth2-proxy.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
namespace: {{ include "oauth2-proxy.namespace" $root }}
labels: {{- include "oauth2-proxy.allLabels" (prepend (slice . 2) $root) | nindent 2 }}
{{- end -}}

{{- define "oauth2-proxy.secretName" -}}
{{- if .Values.config.existingSecret -}}
{{- tpl .Values.config.existingSecret $ -}}
{{- else -}}
{{- include "oauth2-proxy.fullname" . -}}
{{- end -}}
{{- end -}}

{{- define "oauth2-proxy.serviceAccountName" -}}
{{- if .Values.serviceAccount.enabled -}}
{{- default (include "oauth2-proxy.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "oauth2-proxy.accessListName" -}}
{{- .Values.authenticatedEmailsFile.template | default (printf "%s-accesslist" (include "oauth2-proxy.fullname" .)) -}}
{{- end -}}

{{- define "oauth2-proxy.version" -}}
{{- $tag := .Values.image.tag | toString -}}
{{- if or (eq $tag "") (eq (include "oauth2-proxy.foreignTag" .) "true") -}}
{{- .Chart.AppVersion -}}
{{- else -}}
{{- $tag -}}
{{- end -}}
{{- end -}}

{{/* Whether values pin the image of oauth2-proxy, which cannot run in this set. */}}
{{- define "oauth2-proxy.foreignImage" -}}
{{- regexMatch "(^|/)oauth2-proxy$" (.Values.image.repository | toString) -}}
{{- end -}}

{{- define "oauth2-proxy.foreignTag" -}}
{{- regexMatch "^v?[4-7]\\.[0-9]" (.Values.image.tag | toString) -}}
{{- end -}}

{{/* The registry of a replaced image goes with it; the one for all images stays. */}}
{{- define "oauth2-proxy.image" -}}
{{- $registry := tpl .Values.image.registry $ | default (tpl .Values.global.imageRegistry $) -}}
{{- $repository := .Values.image.repository -}}
{{- if eq (include "oauth2-proxy.foreignImage" .) "true" -}}
{{- $repository = "conclave" -}}
{{- $registry = tpl .Values.global.imageRegistry $ -}}
{{- end -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end }}{{ $repository }}:{{ include "oauth2-proxy.version" . }}
{{- end -}}
