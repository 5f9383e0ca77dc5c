// The pinned Helm 3 that the chart is tested with.
module textmoderation.dev/dev/helm/v3

go 1.26.0

require helm.sh/helm/v3 v3.22.0
