{{/*
What the chart ignores or changes, one sentence a line. It is told thrice: NOTES at install, an annotation on the set
for those who apply without seeing NOTES, and the program's log at every start.
*/}}
{{- define "oauth2-proxy.notices" -}}
{{- $lines := list -}}
{{- $n := int .Values.replicaCount -}}
{{- if eq (mod $n 2) 0 -}}
{{- $lines = append $lines (printf "replicaCount %d is even and was rounded up to %s: an even number survives no more losses." $n (include "oauth2-proxy.replicas" .)) -}}
{{- end -}}
{{- if eq $n 1 -}}
{{- $lines = append $lines "replicaCount is 1: logins are down while the only pod is; set 3." -}}
{{- end -}}
{{- $redis := list -}}
{{- range $key := list "redis" "redis-ha" -}}
{{- if (index $.Values $key | default dict).enabled -}}{{- $redis = append $redis (printf "%s.*" $key) -}}{{- end -}}
{{- end -}}
{{- $asked := or $redis (eq (.Values.sessionStorage.type | default "cookie") "redis") -}}
{{- if and $asked .Values.sessionStorage.redis -}}{{- $redis = append $redis "sessionStorage.redis.*" -}}{{- end -}}
{{- if and $asked ((.Values.initContainers).waitForRedis).enabled -}}{{- $redis = append $redis "initContainers.waitForRedis.*" -}}{{- end -}}
{{- with $redis -}}
{{- $lines = append $lines (printf "ignored: %s. Sessions are replicated by the pods themselves; no Redis is deployed or asked." (join ", " .)) -}}
{{- end -}}
{{- if eq (.Values.sessionStorage.type | default "cookie") "redis" -}}
{{- $lines = append $lines "sessionStorage.type redis: sessions live in the replicated store instead." -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- $lines = append $lines "ignored: autoscaling.*. A quorum is not scaled on load; replicaCount says how many." -}}
{{- end -}}
{{- if eq (include "oauth2-proxy.foreignImage" .) "true" -}}
{{- $lines = append $lines (printf "image.repository %s cannot run here and was replaced: %s." .Values.image.repository (include "oauth2-proxy.image" .)) -}}
{{- end -}}
{{- if eq (include "oauth2-proxy.foreignTag" .) "true" -}}
{{- $lines = append $lines (printf "image.tag %s is one of oauth2-proxy and was replaced by %s." .Values.image.tag .Chart.AppVersion) -}}
{{- end -}}
{{- range $line := include "oauth2-proxy.notices.shifted" . | trim | splitList "\n" -}}
{{- if $line -}}{{- $lines = append $lines $line -}}{{- end -}}
{{- end -}}
{{- join "\n" $lines -}}
{{- end -}}

{{/* Values whose meaning is another one on a StatefulSet. */}}
{{- define "oauth2-proxy.notices.shifted" -}}
{{- $n := include "oauth2-proxy.replicas" . | int -}}
{{- $spare := include "oauth2-proxy.spare" . | int -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if and $budget.enabled (gt $n 1) -}}
{{- $max := toString $budget.maxUnavailable -}}
{{- if and (not (kindIs "invalid" $budget.maxUnavailable)) (or (contains "%" $max) (gt (int $budget.maxUnavailable) $spare)) }}
podDisruptionBudget.maxUnavailable {{ $max }} would let a drain stop the majority: {{ $spare }} of {{ $n }} is used.
{{- end }}
{{- with $budget.minAvailable }}
{{- if or (contains "%" (toString .)) (lt (int .) (sub $n $spare | int)) }}
podDisruptionBudget.minAvailable {{ . }} would let a drain stop the majority: maxUnavailable {{ $spare }} of {{ $n }} is used.
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.strategy }}
{{- if eq (.type | default "RollingUpdate") "Recreate" }}
strategy Recreate is ignored: pods are replaced one after another, or sessions could not be read meanwhile.
{{- else if .rollingUpdate }}
strategy.rollingUpdate is ignored: a StatefulSet replaces one pod after another.
{{- end }}
{{- end }}
{{- if or .Values.deploymentLabels .Values.deploymentAnnotations }}
deploymentLabels and deploymentAnnotations are set on the StatefulSet.
{{- end }}
{{- if lt (include "oauth2-proxy.grace" . | int) (add .Values.cluster.drainDelaySeconds 15 | int) }}
terminationGracePeriodSeconds {{ .Values.terminationGracePeriodSeconds }} is short: draining takes {{ .Values.cluster.drainDelaySeconds }} s, handing over and finishing up to 15 s more.
{{- end }}
{{- end -}}
