package place

import (
	"math"

	"onsite/pipeline"
)

// earthM is the mean radius of the earth in metres (IUGG).
const earthM = 6_371_008.8

// Distance is the way in metres between two positions along the ground, by the haversine formula on a sphere: at most 0.6 % wrong.
func Distance(a, b pipeline.Location) float64 {
	lat1, lat2 := radians(a.Latitude), radians(b.Latitude)
	dLat, dLon := lat2-lat1, radians(b.Longitude-a.Longitude)
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(lat1)*math.Cos(lat2)*math.Pow(math.Sin(dLon/2), 2)
	return 2 * earthM * math.Asin(math.Sqrt(math.Min(1, h)))
}

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }

// valid says that a location is one: no NaN, in range, and not the 0, 0 that a device without a fix gives.
func valid(l *pipeline.Location) bool {
	if l == nil || math.IsNaN(l.Latitude) || math.IsNaN(l.Longitude) || math.IsNaN(l.AccuracyM) || math.IsInf(l.AccuracyM, 0) || l.AccuracyM < 0 {
		return false
	}
	return math.Abs(l.Latitude) <= 90 && math.Abs(l.Longitude) <= 180 && (l.Latitude != 0 || l.Longitude != 0)
}

// outside is how many metres a position lies outside of the nearest fence, negative inside, and that fence's radius.
func outside(l pipeline.Location, fences []pipeline.Fence) (metres, radius float64) {
	metres = math.Inf(1)
	for _, f := range fences {
		d := Distance(l, pipeline.Location{Latitude: f.Latitude, Longitude: f.Longitude}) - f.RadiusM
		if d < metres {
			metres, radius = d, f.RadiusM
		}
	}
	return metres, radius
}

// distinct counts groups of positions that lie further apart than apart metres: a position joins the first group whose first member is
// near enough.
func distinct(all []pipeline.Location, apart float64) int {
	var heads []pipeline.Location
next:
	for _, l := range all {
		for _, h := range heads {
			if Distance(l, h) <= apart {
				continue next
			}
		}
		heads = append(heads, l)
	}
	return len(heads)
}
