package authenticity

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onsite/pipeline/media"
)

// A picture that stands still for more than half of the clip is compared with what moves in the rest of it.
func TestFrozenForMostOfTheTime(t *testing.T) {
	clip := swayed(80, func(i int) float64 { return 80 + 12*math.Sin(float64(i)*0.37) + 5*math.Sin(float64(i)*0.83) })
	for i := 16; i <= 64; i++ {
		g := append([]byte(nil), clip.Motion.Frames[15].Gray...)
		for k := range g { // what a coder adds to refine it: a fifth of a grey level in the cells
			g[k] += byte((k/160 + k + i) % 5 / 4)
		}
		clip.Motion.Frames[i].Gray = g
	}
	st := newSeries(&clip.Motion).findFrozen()
	require.InDelta(t, 4.9, st.longest.seconds(), 0.2)
}

// A clip too small or too still to say anything of still gets an answer that can be written down.
func TestNothingMovesAtAll(t *testing.T) {
	for _, side := range [][2]int{{160, 7}, {8, 8}, {1, 1}, {160, 90}} {
		m := media.Motion{W: side[0], H: side[1]}
		for i := range 40 {
			m.Frames = append(m.Frames, media.MotionFrame{PTS: time.Duration(i) * 100 * time.Millisecond, Gray: make([]byte, side[0]*side[1])})
		}
		got := Check(clipOf(m), DefaultConfig())
		_, err := json.Marshal(got)
		require.NoError(t, err, side)
	}
}
