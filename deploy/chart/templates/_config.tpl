{{/* Files and secrets of the program, made as oauth2-proxy's chart makes them. */}}

{{/* disabled, existing-configmap, existing-secret or generated. */}}
{{- define "oauth2-proxy.alpha-config.source" -}}
{{- if not .Values.alphaConfig.enabled -}}
disabled
{{- else if .Values.alphaConfig.existingConfig -}}
existing-configmap
{{- else if .Values.alphaConfig.existingSecret -}}
existing-secret
{{- else -}}
generated
{{- end -}}
{{- end -}}

{{- define "oauth2-proxy.alpha-config.name" -}}
{{- $made := printf "%s-alpha" (include "oauth2-proxy.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- .Values.alphaConfig.existingConfig | default .Values.alphaConfig.existingSecret | default $made -}}
{{- end -}}

{{- define "oauth2-proxy.alpha-config" -}}
{{- with .Values.alphaConfig -}}
---
server:
  BindAddress: '0.0.0.0:4180'
{{- with .serverConfigData }}
{{- toYaml . | nindent 2 }}
{{- end }}
{{- if $.Values.metrics.enabled }}
metricsServer:
  BindAddress: '0.0.0.0:44180'
{{- with .metricsConfigData }}
{{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .configData }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .configFile }}
{{- tpl . $ | nindent 0 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where oauth2_proxy.cfg comes from: existing, given, minimal, full, or none. */}}
{{- define "oauth2-proxy.legacy-config.mode" -}}
{{- if and .Values.alphaConfig.enabled (not .Values.config.forceLegacyConfig) -}}
minimal
{{- else if .Values.config.existingConfig -}}
existing
{{- else if .Values.config.configFile -}}
given
{{- else if .Values.alphaConfig.enabled -}}
minimal
{{- else if .Values.config.forceLegacyConfig -}}
full
{{- else -}}
none
{{- end -}}
{{- end -}}

{{- define "oauth2-proxy.legacy-config.content" -}}
{{- $mode := include "oauth2-proxy.legacy-config.mode" . -}}
{{- if eq $mode "given" -}}
{{- tpl .Values.config.configFile $ -}}
{{- else -}}
email_domains = {{ .Values.config.emailDomains | toJson }}
{{- if eq $mode "full" }}
upstreams = {{ .Values.config.upstreams | toJson }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "oauth2-proxy.secrets" -}}
{{- with .Values.config -}}
{{- if has "cookie-secret" .requiredSecretKeys }}
cookie-secret: {{ tpl .cookieSecret $ | b64enc | quote }}
{{- end }}
{{- if has "client-secret" .requiredSecretKeys }}
client-secret: {{ tpl .clientSecret $ | b64enc | quote }}
{{- end }}
{{- if has "client-id" .requiredSecretKeys }}
client-id: {{ tpl .clientID $ | b64enc | quote }}
{{- end }}
{{- with .cookieSecretPrevious }}
cookie-secret-previous: {{ tpl (join "," .) $ | b64enc | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Whether a key file of Google is mounted. */}}
{{- define "oauth2-proxy.googleFile" -}}
{{- with .Values.config.google -}}
{{- if and .adminEmail (or .serviceAccountJson .existingSecret) -}}true{{- end -}}
{{- end -}}
{{- end -}}
