package reuse

// sameContent is the content score from which the same content counts as in view.
const sameContent = 0.5

// The two measures of content at which the score is one half.
const (
	halfDistance = 62 // PDQ bits; 31 is PDQ's own limit for "the same picture", which gives three quarters
	halfInliers  = 20 // points of a registration
)

// contentScore says how sure it is that the same content is in view, 0..1, from the better of hash distance and registered points. It
// does not tell copies from honest pictures of the same person in the same place.
func contentScore(distance, inliers int) float64 {
	hash := max(0, 1-float64(distance)/(2*halfDistance))
	points := float64(inliers) / float64(inliers+halfInliers)
	return max(hash, points)
}

// Limits of near-duplicates: see nearDuplicate.
const (
	nearDistance = 20
	nearInliers  = 60
	nearShare    = 0.85
	nearResidual = 0.6 // pixels of the earlier picture at pictureSide
)

// nearDuplicate says whether the pictures themselves, not just their place, are nearly the same.
func nearDuplicate(m *Match) bool {
	return m.Distance <= nearDistance || m.Inliers >= nearInliers && float64(m.Inliers) >= nearShare*float64(m.matches) && m.residual <= nearResidual
}
