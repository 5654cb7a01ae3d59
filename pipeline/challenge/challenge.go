package challenge

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"crypto/rand"

	"onsite/pipeline"
)

// Task is one thing to do.
type Task struct {
	Kind pipeline.ChallengeKind `json:"kind"`
	Text string                 `json:"text,omitempty"` // the digits to say, the code to show
}

// Camera says how an app's recordings are stored. The app says it when it asks for the challenge, before it knows the tasks: said afterwards, it
// would let whoever has a recording of one side choose the side.
type Camera string

// The cameras.
const (
	Unsaid   Camera = ""
	Plain    Camera = "plain"    // as others see the person: the usual form of stored recordings
	Mirrored Camera = "mirrored" // as in a mirror, as many apps show and some store the front camera's picture
)

// Asked is what a challenge asks, as it is stored.
type Asked struct {
	Tasks  []Task `json:"tasks"` // to be done in this order
	Camera Camera `json:"camera,omitempty"`
}

// State is what became of a challenge by the time of its submission.
type State string

// The states. What is stored proves that a challenge was used before or is another person's. A late one may be an honest upload over a poor line.
const (
	Fresh   State = "fresh"
	Used    State = "used"    // by an earlier submission
	Late    State = "late"    // its time was over
	Unknown State = "unknown" // never issued, or long forgotten
	Foreign State = "foreign" // issued for another person
)

// Given is the challenge that a submission answers.
type Given struct {
	ID    string
	State State
	Asked
}

const (
	// codeLetters are those that neither people nor a text reader take for one another: no O and 0, I, L and 1, S and 5, B and 8, Z and 2, G
	// and 6, D and Q.
	codeLetters = "ACEFHJKMNPRTUVWXY3479"
	codeLength  = 6
	digits      = "0123456789"
	digitCount  = 4
)

// Draw chooses n different kinds of those given, and what is to be said or shown, from a source of true chance: crypto/rand.Reader. Where digits
// or a code are among them, one of the two is drawn: there are so few movements that one recording with all of them would answer any draw.
func Draw(chance io.Reader, kinds []pipeline.ChallengeKind, n int) ([]Task, error) {
	if n < 1 || n > len(kinds) {
		return nil, fmt.Errorf("draw a challenge: %d tasks of %d kinds", n, len(kinds))
	}
	left, drawn := slices.Clone(kinds), []pipeline.ChallengeKind{}
	fresh := slices.DeleteFunc(slices.Clone(kinds), func(k pipeline.ChallengeKind) bool { return !unforeseen(k) })
	if len(fresh) > 0 {
		k, _, err := take(chance, fresh)
		if err != nil {
			return nil, err
		}
		drawn = append(drawn, k)
		left = slices.DeleteFunc(left, func(other pipeline.ChallengeKind) bool { return other == k })
	}
	for len(drawn) < n {
		k, rest, err := take(chance, left)
		if err != nil {
			return nil, err
		}
		drawn, left = append(drawn, k), rest
	}
	var out []Task
	for range n { // in any order
		k, rest, err := take(chance, drawn)
		if err != nil {
			return nil, err
		}
		drawn = rest
		t := Task{Kind: k}
		switch k {
		case pipeline.SayDigits:
			t.Text, err = spell(chance, digits, digitCount)
		case pipeline.ShowCode:
			t.Text, err = spell(chance, codeLetters, codeLength)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// unforeseen says that a task of this kind asks for something that no earlier recording can hold.
func unforeseen(k pipeline.ChallengeKind) bool {
	return k == pipeline.SayDigits || k == pipeline.ShowCode
}

// take draws one kind and gives the rest.
func take(chance io.Reader, from []pipeline.ChallengeKind) (pipeline.ChallengeKind, []pipeline.ChallengeKind, error) {
	i, err := pick(chance, len(from))
	if err != nil {
		return "", nil, err
	}
	return from[i], slices.Delete(slices.Clone(from), i, i+1), nil
}

// spell draws characters of which no two neighbours are the same: a doubled one is easily said, heard or read as one.
func spell(chance io.Reader, from string, n int) (string, error) {
	out := make([]byte, 0, n)
	for len(out) < n {
		i, err := pick(chance, len(from))
		if err != nil {
			return "", err
		}
		if k := len(out); k > 0 && out[k-1] == from[i] {
			continue
		}
		out = append(out, from[i])
	}
	return string(out), nil
}

func pick(chance io.Reader, n int) (int, error) {
	i, err := rand.Int(chance, big.NewInt(int64(n)))
	if err != nil {
		return 0, errors.Join(errors.New("draw a challenge: there is no chance to draw from"), err)
	}
	return int(i.Int64()), nil
}
