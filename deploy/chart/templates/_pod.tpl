{{/* Parts of the pod. */}}

{{/* Checksums restart the pods when what they were started with changes, and only then. */}}
{{- define "oauth2-proxy.pod.checksums" -}}
{{- if not (has (include "oauth2-proxy.legacy-config.mode" .) (list "existing" "none")) }}
checksum/config: {{ include "oauth2-proxy.legacy-config.content" . | sha256sum }}
{{- end }}
{{- if eq (include "oauth2-proxy.alpha-config.source" .) "generated" }}
checksum/alpha-config: {{ include "oauth2-proxy.alpha-config" . | sha256sum }}
{{- end }}
{{- if .Values.authenticatedEmailsFile.enabled }}
checksum/config-emails: {{ .Values.authenticatedEmailsFile.restricted_access | default "" | sha256sum }}
{{- end }}
{{- if not .Values.config.existingSecret }}
checksum/secret: {{ include "oauth2-proxy.secrets" . | sha256sum }}
{{- end }}
{{- with .Values.config.google }}
{{- with .serviceAccountJson }}
checksum/google-secret: {{ . | sha256sum }}
{{- end }}
{{- end }}
{{- if .Values.htpasswdFile.enabled }}
checksum/htpasswd: {{ toYaml .Values.htpasswdFile.entries | sha256sum }}
{{- end }}
{{- end -}}

{{- define "oauth2-proxy.pod.args" -}}
- --peers={{ include "oauth2-proxy.peers" . }}
- --self={{ include "oauth2-proxy.peerHost" (list . "$(CONCLAVE_POD_NAME)") }}
- --peer-address=0.0.0.0:{{ int .Values.cluster.peerPort }}
- --data-dir=/var/lib/conclave/data
- --admin-address=127.0.0.1:4182
- --auth-address={{ .Values.httpScheme }}://0.0.0.0:{{ include "oauth2-proxy.authContainerPort" . }}
- --max-staleness={{ .Values.cluster.maxStaleness }}
- --drain-delay={{ int .Values.cluster.drainDelaySeconds }}s
- --raft-timeouts={{ .Values.cluster.raftTimeouts }}
{{- with .Values.gateway }}
- --gateway={{ . }}
{{- end }}
{{- if .Values.alphaConfig.enabled }}
- --alpha-config=/etc/oauth2_proxy/oauth2_proxy.yml
{{- else }}
- --http-address=0.0.0.0:4180
- --https-address=0.0.0.0:4443
{{- if .Values.metrics.enabled }}
- --metrics-address=0.0.0.0:44180
{{- end }}
{{- end }}
{{- with .Values.config.cookieName }}
- --cookie-name={{ tpl . $ }}
{{- end }}
{{- if kindIs "map" .Values.extraArgs }}
{{- range $key, $value := .Values.extraArgs }}
- {{ if kindIs "invalid" $value }}{{ printf "--%s" $key | quote }}{{ else }}{{ printf "--%s=%s" $key (tpl (toString $value) $) | quote }}{{ end }}
{{- end }}
{{- else }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- if ne (include "oauth2-proxy.legacy-config.mode" .) "none" }}
- --config=/etc/oauth2_proxy/oauth2_proxy.cfg
{{- end }}
{{- if .Values.authenticatedEmailsFile.enabled }}
- --authenticated-emails-file=/etc/oauth2-proxy/{{ include "oauth2-proxy.accessListName" . }}
{{- end }}
{{- include "oauth2-proxy.pod.googleArgs" . }}
{{- if .Values.htpasswdFile.enabled }}
- --htpasswd-file=/etc/oauth2_proxy/htpasswd/users.txt
{{- end }}
{{- end -}}

{{- define "oauth2-proxy.pod.googleArgs" -}}
{{- with .Values.config.google }}
{{- if and .adminEmail (or .serviceAccountJson .existingSecret .useApplicationDefaultCredentials) }}
- --google-admin-email={{ .adminEmail }}
{{- if .useApplicationDefaultCredentials }}
- --google-use-application-default-credentials=true
{{- else }}
- --google-service-account-json=/google/service-account.json
{{- end }}
{{- with .targetPrincipal }}
- --google-target-principal={{ . }}
{{- end }}
{{- end }}
{{- range .groups }}
- --google-group={{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Variables of the user take the place of those of the same name: server-side apply refuses a name that stands twice. */}}
{{- define "oauth2-proxy.pod.env" -}}
{{- $theirs := list -}}
{{- range tpl (.Values.extraEnv | default list | toYaml) . | fromYamlArray -}}
{{- $theirs = append $theirs .name -}}
{{- end -}}
- name: CONCLAVE_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- if .Values.proxyVarsAsSecrets }}
{{- $secret := include "oauth2-proxy.secretName" . }}
{{- range $key := list "client-id" "client-secret" "cookie-secret" }}
{{- $name := printf "OAUTH2_PROXY_%s" ($key | upper | replace "-" "_") }}
{{- if and (has $key $.Values.config.requiredSecretKeys) (not (has $name $theirs)) }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- if not (has "CONCLAVE_COOKIE_SECRET_PREVIOUS" $theirs) }}
- name: CONCLAVE_COOKIE_SECRET_PREVIOUS
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: cookie-secret-previous
      optional: true
{{- end }}
{{- end }}
{{- with include "oauth2-proxy.notices" . }}
- name: CONCLAVE_DEPLOYMENT_NOTICES
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end -}}

{{- define "oauth2-proxy.pod.ports" -}}
- name: {{ .Values.httpScheme }}
  containerPort: {{ include "oauth2-proxy.containerPort" . }}
  protocol: TCP
- name: auth
  containerPort: {{ include "oauth2-proxy.authContainerPort" . }}
  protocol: TCP
- name: peers
  containerPort: {{ int .Values.cluster.peerPort }}
  protocol: TCP
{{- if .Values.metrics.enabled }}
- name: metrics
  containerPort: 44180
  protocol: TCP
{{- end }}
{{- end -}}

{{/* One probe; (list ROOT VALUES PATH). */}}
{{- define "oauth2-proxy.pod.probe" -}}
{{- $scheme := (index . 0).Values.httpScheme -}}
httpGet:
  path: {{ index . 2 }}
  port: {{ $scheme }}
  scheme: {{ $scheme | upper }}
{{- $values := index . 1 }}
{{- range $key := list "failureThreshold" "initialDelaySeconds" "periodSeconds" "successThreshold" "timeoutSeconds" }}
{{- if hasKey $values $key }}
{{ $key }}: {{ index $values $key | int }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "oauth2-proxy.pod.mounts" -}}
- name: data
  mountPath: /var/lib/conclave
{{- if include "oauth2-proxy.googleFile" . }}
- name: google-secret
  mountPath: /google
  readOnly: true
{{- end }}
{{- if ne (include "oauth2-proxy.legacy-config.mode" .) "none" }}
- name: configmain
  mountPath: /etc/oauth2_proxy/oauth2_proxy.cfg
  subPath: oauth2_proxy.cfg
  readOnly: true
{{- end }}
{{- if .Values.alphaConfig.enabled }}
- name: configalpha
  mountPath: /etc/oauth2_proxy/oauth2_proxy.yml
  subPath: oauth2_proxy.yml
  readOnly: true
{{- end }}
{{- if .Values.authenticatedEmailsFile.enabled }}
- name: configaccesslist
  mountPath: /etc/oauth2-proxy
  readOnly: true
{{- end }}
{{- if .Values.htpasswdFile.enabled }}
- name: htpasswd-file
  mountPath: /etc/oauth2_proxy/htpasswd
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "oauth2-proxy.pod.volumes" -}}
{{- if include "oauth2-proxy.googleFile" . }}
- name: google-secret
  secret:
    secretName: {{ .Values.config.google.existingSecret | default (printf "%s-google" (include "oauth2-proxy.fullname" .)) }}
{{- end }}
{{- $legacy := include "oauth2-proxy.legacy-config.mode" . }}
{{- if ne $legacy "none" }}
- name: configmain
  configMap:
    name: {{ if eq $legacy "existing" }}{{ .Values.config.existingConfig }}{{ else }}{{ include "oauth2-proxy.fullname" . }}{{ end }}
{{- end }}
{{- $alpha := include "oauth2-proxy.alpha-config.source" . }}
{{- if eq $alpha "existing-configmap" }}
- name: configalpha
  configMap:
    name: {{ include "oauth2-proxy.alpha-config.name" . }}
{{- else if ne $alpha "disabled" }}
- name: configalpha
  secret:
    secretName: {{ include "oauth2-proxy.alpha-config.name" . }}
{{- end }}
{{- with .Values.authenticatedEmailsFile }}
{{- if .enabled }}
- name: configaccesslist
  {{ ternary "secret" "configMap" (eq .persistence "secret") }}:
    {{ ternary "secretName" "name" (eq .persistence "secret") }}: {{ include "oauth2-proxy.accessListName" $ }}
    items:
    - key: {{ .restrictedUserAccessKey | default "restricted_user_access" }}
      path: {{ include "oauth2-proxy.accessListName" $ }}
{{- end }}
{{- end }}
{{- if .Values.htpasswdFile.enabled }}
- name: htpasswd-file
  secret:
    secretName: {{ .Values.htpasswdFile.existingSecret | default (printf "%s-htpasswd-file" (include "oauth2-proxy.fullname" .)) }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end -}}

{{/* Where pods may stand: the user's word, or apart from each other. */}}
{{- define "oauth2-proxy.pod.affinity" -}}
{{- if .Values.affinity -}}
{{ toYaml .Values.affinity }}
{{- else -}}
podAntiAffinity:
  {{- if .Values.cluster.hardAntiAffinity }}
  requiredDuringSchedulingIgnoredDuringExecution:
  - topologyKey: kubernetes.io/hostname
    labelSelector:
      matchLabels: {{- include "oauth2-proxy.selectorLabels" . | trim | nindent 8 }}
  {{- else }}
  preferredDuringSchedulingIgnoredDuringExecution:
  - weight: 100
    podAffinityTerm:
      topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels: {{- include "oauth2-proxy.selectorLabels" . | trim | nindent 10 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "oauth2-proxy.pod.spread" -}}
{{- if .Values.topologySpreadConstraints -}}
{{ toYaml .Values.topologySpreadConstraints }}
{{- else -}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "oauth2-proxy.selectorLabels" . | trim | nindent 6 }}
{{- end -}}
{{- end -}}
