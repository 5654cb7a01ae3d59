package index

// A tail is a segment to which clips are added. It has no tables and its clips are in the order in which they came.

func newTail(tenant string) *segment {
	return &segment{
		head: head{names: 1, nameBytes: len(tenant)}, newest: map[string]int{}, numbers: map[string]uint32{},
		first: []uint32{0}, jobAt: []uint32{0}, nameAt: []uint32{0, uint32(len(tenant))}, name: []byte(tenant),
	}
}

// add puts a clip at the end of a tail.
func (s *segment) add(c *Clip) {
	n := uint32(s.clips)
	for _, f := range c.Frames {
		s.hash, s.at, s.clipOf = append(s.hash, f.Hash), append(s.at, f.AtMS), append(s.clipOf, n)
	}
	s.first = append(s.first, uint32(len(s.hash)))
	s.seq = append(s.seq, c.Seq)
	s.subject, s.site = append(s.subject, s.addName(c.Subject)), append(s.site, s.addName(c.Site))
	s.jobs = append(s.jobs, c.Job...)
	s.jobAt = append(s.jobAt, uint32(len(s.jobs)))
	if s.clips++; (s.clips+63)/64 > len(s.dead) {
		s.dead = append(s.dead, 0)
	}
	s.hashes, s.jobBytes = len(s.hash), len(s.jobs)
	s.newest[c.Job] = int(n)
}

func (s *segment) addName(name string) uint32 {
	k, ok := s.numbers[name]
	if ok || name == "" {
		return k
	}
	k = uint32(s.names)
	s.numbers[name] = k
	s.name = append(s.name, name...)
	s.nameAt = append(s.nameAt, uint32(len(s.name)))
	s.nameBytes = len(s.name)
	s.names++
	return k
}
