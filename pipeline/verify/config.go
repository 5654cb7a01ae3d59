package verify

import (
	"time"

	"onsite/pipeline/authenticity"
	"onsite/pipeline/face"
	"onsite/pipeline/liveness"
	"onsite/pipeline/policy"
	"onsite/pipeline/reuse"
	"onsite/pipeline/scene"
	"onsite/pipeline/speech"
)

// The settings of each check: its calibrated defaults, with what the policy overrides.

func faceConfig(m face.Models, p policy.Policy) face.Config {
	c := face.ConfigFor(m)
	c.EarlyExit = p.EarlyExit
	if t := p.Thresholds.Face.Threshold; t != nil {
		// The band below the threshold in which nothing is claimed keeps its width.
		c.Reject, c.Threshold = *t-(c.Threshold-c.Reject), *t
	}
	return c
}

func livenessConfig(p policy.Policy) liveness.Config {
	c := liveness.DefaultConfig()
	c.EarlyExit = p.EarlyExit
	if t := p.Thresholds.Liveness.Threshold; t != nil {
		c.Threshold, c.ClearSpoof = *t, min(c.ClearSpoof, *t)
	}
	return c
}

func reuseConfig(p policy.Policy) reuse.Config {
	c := reuse.DefaultConfig()
	c.EarlyExit = p.EarlyExit
	if t := p.Thresholds.Reuse.Threshold; t != nil {
		// A threshold below the bands in which nothing is claimed takes them along.
		c.Threshold, c.CannotTell, c.Weak = *t, min(c.CannotTell, *t), min(c.Weak, *t)
	}
	return c
}

// SceneConfig gives the settings of the scene check under a policy: trying a site out must ask what a verification asks.
func SceneConfig(p policy.Policy) scene.Config {
	c := scene.DefaultConfig()
	if n := p.Thresholds.Scene.Inliers; n != nil {
		c.Inliers, c.DoubtInliers = *n, min(c.DoubtInliers, *n)
	}
	if s := p.Thresholds.Scene.Sign; s != nil {
		c.SignSimilarity = *s
	}
	for _, w := range p.Scene.Want {
		c.Want = append(c.Want, scene.Element(w))
	}
	c.Today, c.Heads = p.Scene.Today, p.Scene.Heads
	return c
}

// authenticityConfig: a person is expected in view unless the policy asks for no face.
func authenticityConfig(wantsFace bool) authenticity.Config {
	c := authenticity.DefaultConfig()
	c.ExpectPerson = wantsFace
	return c
}

func speechConfig(p policy.Policy) speech.Config {
	c := speech.DefaultConfig()
	if s := p.Speech.MinSeconds; s != nil {
		c.MinSpeech = time.Duration(*s * float64(time.Second))
	}
	c.WantLips, c.Words, c.AtLeast = p.Speech.Lips, p.Speech.Words, p.Speech.AtLeast
	return c
}
