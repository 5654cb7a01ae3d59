package challenge

import (
	"time"

	"onsite/pipeline"
)

// allowedRepeats is how often, all together, an asked movement may be made once more where digits or a code are asked too: people repeat a turn
// when they are not sure that it was seen. Without digits or a code nothing else says that the recording is new, and none may.
const allowedRepeats = 1

// more says that the head turns or nods beyond what was asked: a recording that holds every movement, made beforehand, answers any draw of
// movements. Nods count where somebody only moves: people nod when they speak and look down at a code.
func more(tasks []TaskResult, s Seen, camera Camera) bool {
	asked, fresh := map[pipeline.ChallengeKind]int{}, false
	for _, t := range tasks {
		asked[t.Kind]++
		fresh = fresh || unforeseen(t.Kind)
	}
	b := base(s.Poses)
	right, left := turns(s.Poses, b, 1), turns(s.Poses, b, -1) // of the person in a mirror; the other way round in a plain picture
	nods := nods(s.Poses, b)
	if fresh && asked[pipeline.Nod] == 0 {
		nods = 0
	}
	beyond := func(left, right int) bool {
		others, repeats := 0, 0
		for k, n := range map[pipeline.ChallengeKind]int{pipeline.TurnLeft: left, pipeline.TurnRight: right, pipeline.Nod: nods} {
			if over := max(n-asked[k], 0); asked[k] == 0 {
				others += over
			} else {
				repeats += over
			}
		}
		return others > 0 || repeats > allowedRepeats || repeats > 0 && !fresh
	}
	switch camera {
	case Plain:
		return beyond(left, right)
	case Mirrored:
		return beyond(right, left)
	}
	return beyond(left, right) && beyond(right, left) // nobody knows the side
}

// turns counts the turns to the side of sign.
func turns(poses []Pose, b direction, sign float64) int {
	n := 0
	for after := time.Duration(0); ; n++ {
		e, problem := turn(since(poses, after), b, sign)
		if problem != "" || e.to <= after {
			return n
		}
		after = e.to
	}
}

// nods counts the nods; those that follow one another at once are one.
func nods(poses []Pose, b direction) int {
	n, last := 0, time.Duration(-1)
	for after := time.Duration(0); ; {
		e, problem := nod(since(poses, after), b)
		if problem != "" || e.to <= after {
			return n
		}
		if last < 0 || e.from-last > nodLength {
			n++
		}
		after, last = e.to, e.to
	}
}
