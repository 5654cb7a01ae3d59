package scene

import "fmt"

// Config holds the thresholds and bounds of the scene check. DefaultConfig has the calibrated ones.
type Config struct {
	// Want lists the wanted elements; nil: those for which the site has references or names.
	Want []Element
	// Frames bounds how many different frames are searched for references, TextFrames for text.
	Frames, TextFrames int
	// FrameSide is the long side at which frames are searched for references, FrameKeypoints bounds their keypoints.
	FrameSide, FrameKeypoints int
	// Inliers is how many distinct places of a reference must agree on one plane; from DoubtInliers on the outcome is uncertain.
	Inliers, DoubtInliers int
	// Differs is the share of a poster's comparable parts that may show something else before it is another poster of the same design.
	Differs float64
	// Today wants the dates on a poster read: one that says that it is over is outdated; where days are enrolled, and hold, that is a doubt.
	Today bool
	// Heads lets general impressions speak where references settled nothing.
	Heads bool
	// People is how many people the face check found in the clip: with any, nobody looks for a person again. It is no setting.
	People int `json:"-"`
	// TextSide is the long side at which text is looked for; TextSideFar is the second try on the sharpest frame when the
	// name was not read in a photo (0: none; in a clip it would cost half of the stage's budget). TextLines bounds the lines read per frame.
	TextSide, TextSideFar, TextLines int
	// SignSimilarity is how similar (1 - edits / length) a reading must be to a name; 0: by the name's length and script.
	SignSimilarity float64
}

// DefaultConfig gives the calibrated values.
//
// Inliers: on eval/scene and eval/place (38 references, plain and mirrored, 15,844 pairs with photos that do not show them) and on 9,272
// pairs with eval/faces, on which nothing was chosen, the strongest false match had 5 inliers; 9 leaves room for sites with repeating texture and is the value of the earlier trials (0 of 11,000).
// FrameSide: recall on simulated revisits 33, 33 and 30 of 34 at full, 0.7 and 0.45 of the frame's size for 640, at 70 ms per frame; 480
// finds 33, 31, 28 at 50 ms, 800 finds 33, 33, 32 at 130 ms. TextSide: 640 reads 17 of 23 names of eval/signs, 960 and 1280 read 15 at two
// and four times the cost. otherView keeps Frames from costing anything where the camera stands still.
func DefaultConfig() Config {
	return Config{Frames: 3, TextFrames: 2, FrameSide: 640, FrameKeypoints: 1000, Inliers: 9, DoubtInliers: 7, Differs: 0.1, TextSide: 640, TextSideFar: 960, TextLines: 8}
}

// Validate names the field that cannot work.
func (c Config) Validate() error {
	for _, f := range []struct {
		name           string
		got, low, high int
	}{
		{"Frames", c.Frames, 1, 100}, {"TextFrames", c.TextFrames, 0, 100}, {"FrameSide", c.FrameSide, 160, 4096},
		{"FrameKeypoints", c.FrameKeypoints, 100, 20000}, {"Inliers", c.Inliers, fewestMatches, 1000}, {"DoubtInliers", c.DoubtInliers, fewestMatches, c.Inliers},
		{"TextSide", c.TextSide, 160, 4096}, {"TextSideFar", c.TextSideFar, 0, 4096}, {"TextLines", c.TextLines, 1, 200},
	} {
		if f.got < f.low || f.got > f.high {
			return fmt.Errorf("scene configuration: %s is %d, want %d to %d", f.name, f.got, f.low, f.high)
		}
	}
	if !(c.SignSimilarity >= 0 && c.SignSimilarity <= 1) { // so written that NaN is refused
		return fmt.Errorf("scene configuration: SignSimilarity is %v, want 0 to 1", c.SignSimilarity)
	}
	if !(c.Differs > 0 && c.Differs <= 1) {
		return fmt.Errorf("scene configuration: Differs is %v, want more than 0, at most 1", c.Differs)
	}
	known := map[Element]bool{}
	for _, e := range Elements {
		known[e] = true
	}
	for _, e := range c.Want {
		if !known[e] {
			return fmt.Errorf("scene configuration: Want names %q, want some of %v", e, Elements)
		}
	}
	return nil
}
