// Command kubernetes reads manifests on standard input and decodes each strictly as the Kubernetes type that it says it is. A module of its own, so
// that Kubernetes stays out of Tilestream's go.mod.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"apps/v1 Deployment":                     func() any { return new(appsv1.Deployment) },
	"autoscaling/v2 HorizontalPodAutoscaler": func() any { return new(autoscalingv2.HorizontalPodAutoscaler) },
	"policy/v1 PodDisruptionBudget":          func() any { return new(policyv1.PodDisruptionBudget) },
	"v1 Secret":                              func() any { return new(corev1.Secret) },
	"v1 Service":                             func() any { return new(corev1.Service) },
	"v1 ServiceAccount":                      func() any { return new(corev1.ServiceAccount) },
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	for doc := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n---")) {
		var of metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &of); err != nil {
			return fmt.Errorf("%w in:\n%s", err, doc)
		}
		if of == (metav1.TypeMeta{}) {
			continue
		}
		kind := of.APIVersion + " " + of.Kind
		into, ok := kinds[kind]
		if !ok {
			return fmt.Errorf("a %s is not expected:\n%s", kind, doc)
		}
		if err := yaml.UnmarshalStrict(doc, into()); err != nil {
			return fmt.Errorf("%s: %w in:\n%s", kind, err, doc)
		}
		fmt.Println(kind)
	}
	return nil
}
