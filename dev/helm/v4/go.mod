// The pinned Helm 4 that the chart is tested with.
module textmoderation.dev/dev/helm/v4

go 1.26.0

require helm.sh/helm/v4 v4.3.1
