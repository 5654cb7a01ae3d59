package workers

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"onsite/results"
	"onsite/workers/queue"
)

// resume continues the trace of the request that accepted the job: the span of the attempt, with the claim that has just been made in it.
// The task has the trace; where it has none, the submission does.
func resume(ctx context.Context, t queue.Task, l results.Lease, began time.Time) (context.Context, trace.Span) {
	parent := t.TraceParent
	if parent == "" {
		parent = l.Sub.TraceParent
	}
	if parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	}
	ctx, span := tracer().Start(ctx, "attempt", trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("onsite.job", l.Job.ID), attribute.Int("onsite.attempt", l.Job.Attempt)))
	_, claim := tracer().Start(ctx, "claim", trace.WithTimestamp(began))
	claim.End()
	return ctx, span
}

// start begins a part of an attempt.
func start(ctx context.Context, name string) (context.Context, trace.Span) {
	return tracer().Start(ctx, name)
}

func tracer() trace.Tracer { return otel.Tracer("onsite") }
