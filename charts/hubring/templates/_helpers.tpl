{{/* Names. 33 characters leave room for the longest suffix, and for the hash that
     Kubernetes puts behind a StatefulSet's name in a label of at most 63. */}}
{{- define "hubring.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 33 | trimSuffix "-" -}}
{{- end -}}

{{- define "hubring.fullname" -}}
{{- $name := include "hubring.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 33 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 33 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 33 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* hubring.domain: what follows SERVICE in a DNS name, without a dot at either end. */}}
{{- define "hubring.domain" -}}
{{- .Release.Namespace }}.svc{{ with .Values.clusterDomain }}.{{ . }}{{ end -}}
{{- end -}}

{{- define "hubring.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "hubring.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels. Those of a selector can never be changed, so they are few.
     Call with (dict "root" $ "component" "edgehub"). */}}
{{- define "hubring.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hubring.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "hubring.labels" -}}
{{ include "hubring.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: hubring
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* hubring.image: call with (dict "image" .Values.x.image "tag" "default"). */}}
{{- define "hubring.image" -}}
{{- $tag := default .tag .image.tag -}}
{{- .image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* hubring.metadata: of an object. Call with (dict "root" $ "component" "edgehub" "name" "edgehub"). */}}
{{- define "hubring.metadata" -}}
name: {{ include "hubring.fullname" .root }}-{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "hubring.labels" . | nindent 2 }}
{{- end -}}

{{/* hubring.podSpec: what all pods have in common. Call with (dict "root" $ "values" .Values.x "component" "x"). Pods that
     ask the API server name their "account", too, and get its token. */}}
{{- define "hubring.podSpec" -}}
serviceAccountName: {{ default (include "hubring.serviceAccountName" .root) (get . "account") }}
automountServiceAccountToken: {{ hasKey . "account" }}
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65534
  runAsGroup: 65534
  fsGroup: 65534
  # Without it Kubernetes looks at every file of a large volume at each start.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
{{- with get .values "topologySpreadConstraints" }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    # One node must be able to run them all.
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "hubring.selectorLabels" . | nindent 8 }}
{{- end }}
{{- end -}}

{{- define "hubring.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* hubring.podName: an environment that tells a container its pod's name. */}}
{{- define "hubring.podName" -}}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end -}}

{{/* hubring.probes: call with (dict "root" $ "port" "http"). The kubelet takes any certificate but has neither a
     password nor a certificate. Where it needs one, readiness is asked over "grpc", its number, or by "command", a
     list, and if there is neither, it is enough that the port is open. A hub says that it needs no password
     for them, "open". */}}
{{- define "hubring.probes" -}}
{{- $locked := or .root.Values.web.clientCertificate (and .root.Values.web.username (not (get . "open"))) -}}
{{- $http := dict "port" .port "scheme" (include "hubring.scheme" .root | upper) -}}
readinessProbe:
  {{- if not $locked }}
  httpGet: {{ set $http "path" "/-/ready" | toJson }}
  {{- else if get . "command" }}
  exec: {command: {{ toJson .command }}}
  {{- else if get . "grpc" }}
  grpc: {port: {{ .grpc }}}
  {{- else }}
  tcpSocket: {port: {{ .port }}}
  {{- end }}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  {{- if $locked }}
  tcpSocket: {port: {{ .port }}}
  {{- else }}
  httpGet: {{ set $http "path" "/-/healthy" | toJson }}
  {{- end }}
  periodSeconds: 10
  timeoutSeconds: 10
  # A busy machine is no reason to kill what holds samples in memory.
  failureThreshold: 6
{{- end -}}

{{/* hubring.evictUnhealthy: of a budget. Otherwise two pods that crash would keep all nodes from being drained. An
     eviction costs a pod that is not ready nothing: a hub that still runs is scraped to the end as always,
     and a server has its volume. */}}
{{- define "hubring.evictUnhealthy" -}}
unhealthyPodEvictionPolicy: AlwaysAllow
{{- end -}}

{{/* hubring.claims: the volume claim of a StatefulSet, or nothing. Call with .persistence. */}}
{{- define "hubring.claims" -}}
{{- if .enabled -}}
# A volume outlives a scale-down, so that scaling up again finds its data.
persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: {{ toJson .accessModes }}
      {{- with .storageClassName }}
      storageClassName: {{ . }}
      {{- end }}
      resources: {requests: {storage: {{ .size }}}}
{{- end }}
{{- end -}}

{{/* hubring.externalURL: the flags for links to a server from outside. Within the cluster its paths stay as they are. */}}
{{- define "hubring.externalURL" -}}
{{- with . -}}
- {{ printf "--web.external-url=%s" . | quote }}
- --web.route-prefix=/
{{- end -}}
{{- end -}}

{{/* hubring.seconds: a duration such as 1h10m in seconds. */}}
{{- define "hubring.seconds" -}}
{{- $unit := dict "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[smhd]" (toString .) -1 -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" .) (get $unit (regexFind "[smhd]" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* hubring.bytes: a size in bytes, as Kubernetes writes it, 50Gi, or Prometheus, whose 45GB are powers of 2, too. */}}
{{- define "hubring.bytes" -}}
{{- $power := dict "k" 1 "K" 1 "M" 2 "G" 3 "T" 4 "P" 5 "E" 6 -}}
{{- $step := ternary 1000.0 1024.0 (regexMatch "[kMGTPE]$" .) -}}
{{- $bytes := regexFind "^[0-9.]+" . | float64 -}}
{{- range until (get $power (regexFind "[kKMGTPE]" .) | int) -}}
{{- $bytes = mulf $bytes $step -}}
{{- end -}}
{{- int64 $bytes -}}
{{- end -}}

{{/* hubring.retentionSize: how much a server keeps, or nothing for no bound. 80 % of its volume, unless said otherwise:
     blocks that are joined are there twice for a while, up to a tenth of the retention. */}}
{{- define "hubring.retentionSize" -}}
{{- $p := .Values.prometheus -}}
{{- $said := toString $p.retentionSize -}}
{{- if and (not $said) $p.persistence.enabled -}}
{{- $mebibytes := div (include "hubring.bytes" $p.persistence.size | int64) 1048576 -}}
{{- printf "%dMB" (div (mul $mebibytes 8) 10) -}}
{{- else if ne $said "0" -}}
{{- $said -}}
{{- end -}}
{{- end -}}

{{/* Hubs. hubring.hubAddress: host:port of a hub, which is its name on the exporters' ring, the
     same as the SRV record gives. Call with (dict "root" $ "shard" 2). */}}
{{- define "hubring.hubAddress" -}}
{{- include "hubring.hubHost" . }}:9091
{{- end -}}

{{- define "hubring.hubHost" -}}
{{- $service := printf "%s-edgehub" (include "hubring.fullname" .root) -}}
{{- printf "%s-%d.%s.%s" $service (int .shard) $service (include "hubring.domain" .root) -}}
{{- end -}}

{{/* hubring.scrapeAddress: where a hub shows what it has. Call with (dict "root" $ "shard" 2). */}}
{{- define "hubring.scrapeAddress" -}}
{{- include "hubring.hubHost" . }}:{{ ternary 9092 9091 .root.Values.edgehub.separateScrapePort }}
{{- end -}}

{{/* hubring.scrapePort: the name of that port. */}}
{{- define "hubring.scrapePort" -}}
{{- ternary "http-scrape" "http" .Values.edgehub.separateScrapePort -}}
{{- end -}}

{{/* hubring.hubTarget: a hub as a target of its server. Its instance is its name on the ring, so that what it says of
     itself and what exporters say of it are told alike. Call with (dict "root" $ "shard" 2). */}}
{{- define "hubring.hubTarget" -}}
{targets: [{{ include "hubring.scrapeAddress" . | quote }}], labels: {instance: {{ include "hubring.hubAddress" . | quote }}}}
{{- end -}}

{{/* hubring.stopTimeout: seconds in which a stopping hub is scraped for the last time. */}}
{{- define "hubring.stopTimeout" -}}
{{- $p := .Values.prometheus -}}
{{- $scraped := add (include "hubring.seconds" $p.scrapeInterval) (include "hubring.seconds" $p.scrapeTimeout) 5 -}}
{{- default $scraped (int .Values.edgehub.stopTimeout) -}}
{{- end -}}

{{/* hubring.handsOver: whether a hub that stops and is not scraped hands over what it has, to a hub that stays: where its volume
     goes with its pod. Senders' passwords the hubs do not have. */}}
{{- define "hubring.handsOver" -}}
{{- $hub := .Values.edgehub -}}
{{- if and $hub.handover.enabled (not (and $hub.storage.enabled $hub.persistence.enabled)) (not .Values.web.pushConfigSecret) -}}
true
{{- end -}}
{{- end -}}

{{/* hubring.hubStop: seconds that a stop of a hub may take. */}}
{{- define "hubring.hubStop" -}}
{{- add (include "hubring.stopTimeout" .) (ternary .Values.edgehub.handover.seconds 0 (eq (include "hubring.handsOver" .) "true")) -}}
{{- end -}}

{{/* hubring.handoverSleep: seconds for which a stopping Prometheus goes on scraping, since its hub may be
     stopping, too: the number shrinks, or an upgrade changes both. None where nothing would keep the samples. An
     upgrade also takes both servers of a pair at once, so the second stays until the first should be back.
     Call with (dict "root" $ "replica" "a"). */}}
{{- define "hubring.handoverSleep" -}}
{{- $p := .root.Values.prometheus -}}
{{- $sleep := 0 -}}
{{- if or $p.persistence.enabled $p.remoteWrite -}}
{{- $sleep = include "hubring.stopTimeout" .root | int -}}
{{- end -}}
{{- if eq .replica "b" -}}
{{- $sleep = add $sleep (int $p.secondStopDelay) -}}
{{- end -}}
{{- $sleep -}}
{{- end -}}

{{- define "hubring.handoverLifecycle" -}}
{{- with int (include "hubring.handoverSleep" .) -}}
lifecycle: {preStop: {sleep: {seconds: {{ . }}}}}
{{- end -}}
{{- end -}}

{{/* hubring.servers: how many numbers Prometheus servers have, with those whose hub is gone. */}}
{{- define "hubring.servers" -}}
{{- add (int .Values.prometheus_servers_count) (int .Values.prometheus.retired) -}}
{{- end -}}

{{/* Prometheus. hubring.replicas: the letters of the servers of a hub, a JSON list. */}}
{{- define "hubring.replicas" -}}
{{- if eq (int .Values.prometheus_replicas) 2 }}["a","b"]{{ else }}["a"]{{ end -}}
{{- end -}}

{{/* hubring.prometheusName: without the fullname. The first is "prometheus", so that a server keeps its
     volume when it becomes one of a pair. */}}
{{- define "hubring.prometheusName" -}}
prometheus{{ if ne . "a" }}-{{ . }}{{ end }}
{{- end -}}

{{/* hubring.ownAddress: hubring.hubAddress as a hub knows its own, by its pod's number. */}}
{{- define "hubring.ownAddress" -}}
{{- $service := printf "%s-edgehub" (include "hubring.fullname" .) -}}
{{- printf "%s-$(SHARD).%s.%s:9091" $service $service (include "hubring.domain" .) -}}
{{- end -}}

{{/* hubring.ownServer: where a hub asks the server with its number. The number is the pod's and stands in
     no template, so that a rescale restarts no hub. Call with (dict "root" $ "replica" "a"). */}}
{{- define "hubring.ownServer" -}}
{{- $name := include "hubring.fullname" .root -}}
{{- printf "%s://%s-%s-$(SHARD).%s-prometheus.%s:9090" (include "hubring.scheme" .root) $name (include "hubring.prometheusName" .replica) $name (include "hubring.domain" .root) -}}
{{- end -}}

{{/* hubring.prometheusAffinity: as the values have it. The second of a pair also keeps away from the first with its
     number, which then need not know of it: the scheduler looks at such a wish from both sides. Kubernetes 1.30
     leaves matchLabelKeys out, and it keeps away from all first ones. Call with (dict "root" $ "replica" "a"). */}}
{{- define "hubring.prometheusAffinity" -}}
{{- $affinity := deepCopy .root.Values.prometheus.affinity -}}
{{- if and (eq .replica "b") (not (hasKey $affinity "podAntiAffinity")) -}}
{{- $_ := set $affinity "podAntiAffinity" (include "hubring.apart" .root | fromYaml) -}}
{{- end -}}
{{- toYaml $affinity -}}
{{- end -}}

{{- define "hubring.apart" -}}
preferredDuringSchedulingIgnoredDuringExecution:
  - weight: 100
    podAffinityTerm:
      topologyKey: kubernetes.io/hostname
      matchLabelKeys: [apps.kubernetes.io/pod-index]
      labelSelector:
        matchLabels:
          {{- include "hubring.selectorLabels" (dict "root" . "component" "prometheus") | nindent 10 }}
          prometheus-replica: a
{{- end -}}

{{/* Alertmanagers, a JSON list of URLs: each must get every alert, so each is named. */}}
{{- define "hubring.alertmanagerURLs" -}}
{{- $urls := .Values.alertmanager.existingURLs -}}
{{- if .Values.alertmanager.enabled -}}
{{- $service := printf "%s-alertmanager" (include "hubring.fullname" .) -}}
{{- range $i := until (int .Values.alertmanager.replicas) -}}
{{- $urls = append $urls (printf "%s://%s-%d.%s.%s:9093" (include "hubring.scheme" $) $service $i $service (include "hubring.domain" $)) -}}
{{- end -}}
{{- end -}}
{{- toJson $urls -}}
{{- end -}}

{{/* Rules: the same files for Prometheus and for the ruler. Each source has a directory of its own.
     hubring.rulePatterns: where they are, a JSON list. Prometheus takes a * in the last part of a path only. */}}
{{- define "hubring.rulePatterns" -}}
{{- $patterns := list "/etc/hubring/rules/chart/*.yaml" -}}
{{- range .Values.rules.configMaps -}}
{{- $patterns = append $patterns (printf "/etc/hubring/rules/configmap-%s/*.yaml" .) -}}
{{- end -}}
{{- if .Values.rules.volume -}}
{{- $patterns = append $patterns "/etc/hubring/rules/volume/*.yaml" -}}
{{- end -}}
{{- toJson $patterns -}}
{{- end -}}

{{- define "hubring.ruleFiles" -}}
{{- if .Values.rules.builtin -}}
hubring.yaml: |
  {{- include "hubring.alerts" . | nindent 2 }}
{{ if include "hubring.global" . -}}
servers.yaml: |
  {{- include "hubring.serverAlerts" . | nindent 2 }}
{{ end -}}
{{ if and (include "hubring.global" .) (include "hubring.victoria" .) -}}
# There is no Prometheus that could watch the ruler, so it does what it can.
ruler.yaml: |
  {{- .Files.Get "files/ruler-alerts.yaml" | nindent 2 }}
{{ end -}}
{{ if .Values.objectStorage.enabled -}}
bucket.yaml: |
  {{- .Files.Get "files/bucket-alerts.yaml" | nindent 2 }}
{{ end -}}
{{ end -}}
rules.yaml: |
  {{- include "hubring.ruleGroups" . | nindent 2 }}
{{- end -}}

{{/* hubring.alerts: those about hubs. In the file are the defaults: the gateways' label, and a server is behind for longer than
     some scrapes take to come. */}}
{{- define "hubring.alerts" -}}
{{- $behind := max 120 (mul 4 (include "hubring.seconds" .Values.prometheus.scrapeInterval)) -}}
{{- .Files.Get "files/alerts.yaml" | replace "gatewayID=\"\"" (include "hubring.noGateway" .) | replace "edgehub_cursor_lag_seconds) > 120" (printf "edgehub_cursor_lag_seconds) > %d" $behind) -}}
{{- end -}}

{{/* hubring.peers: whether one of a pair answers for both, so that each must know how the other one is. A querier asks
     all servers, and takes what they say of themselves. */}}
{{- define "hubring.peers" -}}
{{- if and (include "hubring.shards" .) (eq (int .Values.prometheus_replicas) 2) }}true{{ end -}}
{{- end -}}

{{/* hubring.serverAlerts: about the servers that there should be, in the file 1. */}}
{{- define "hubring.serverAlerts" -}}
{{- $servers := mul (include "hubring.servers" . | int) (int .Values.prometheus_replicas) -}}
{{- .Files.Get "files/server-alerts.yaml" | replace "vector(1)" (printf "vector(%d)" $servers) | replace "gatewayID=\"\"" (include "hubring.noGateway" .) -}}
{{- end -}}

{{/* hubring.noGateway: the matcher of series that are no gateway's. PromQL wants a label in quotes that is no plain name. */}}
{{- define "hubring.noGateway" -}}
{{- $label := .Values.edgehub.gatewayLabel -}}
{{- if not (regexMatch "^[a-zA-Z_][a-zA-Z0-9_]*$" $label) }}{{ $label = quote $label }}{{ end -}}
{{- printf "%s=\"\"" $label -}}
{{- end -}}

{{/* hubring.ruleGroups: the user's. Only a ruler knows of parts of an answer; a single server would not start. */}}
{{- define "hubring.ruleGroups" -}}
{{- $groups := list -}}
{{- range .Values.rules.groups -}}
{{- $groups = append $groups (ternary . (omit . "partial_response_strategy") (include "hubring.global" $ | empty | not)) -}}
{{- end -}}
{{- dict "groups" $groups | toYaml -}}
{{- end -}}

{{- define "hubring.ruleMounts" -}}
- {name: rules, mountPath: /etc/hubring/rules/chart, readOnly: true}
{{- range $i, $name := .Values.rules.configMaps }}
- {name: rules-{{ $i }}, mountPath: /etc/hubring/rules/configmap-{{ $name }}, readOnly: true}
{{- end }}
{{- if .Values.rules.volume }}
- {name: rules-volume, mountPath: /etc/hubring/rules/volume, readOnly: true}
{{- end }}
{{- end -}}

{{- define "hubring.ruleVolumes" -}}
- name: rules
  configMap: {name: {{ include "hubring.fullname" . }}-rules}
{{- range $i, $name := .Values.rules.configMaps }}
- name: rules-{{ $i }}
  configMap: {name: {{ $name }}}
{{- end }}
{{- with .Values.rules.volume }}
- name: rules-volume
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
