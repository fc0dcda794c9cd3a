package client

import (
	"math"
	"testing"

	"sensorgateway/wire"
)

func TestSequences(t *testing.T) {
	type step struct {
		name  string
		seq   uint32
		flags wire.Flags
		want  uint32
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{"a", 7, 0, 0}, {"a", 8, 0, 0}, {"a", 9, 0, 0}}},
		{"a gap", []step{{"a", 7, 0, 0}, {"a", 11, 0, 3}, {"a", 12, 0, 0}}},
		{"each sensor has its own", []step{{"a", 7, 0, 0}, {"b", 100, 0, 0}, {"a", 8, 0, 0}, {"b", 102, 0, 1}}},
		{"over the end of 32 bits", []step{{"a", math.MaxUint32 - 1, 0, 0}, {"a", math.MaxUint32, 0, 0}, {"a", 0, 0, 0}, {"a", 1, 0, 0}}},
		{"a gap over the end", []step{{"a", math.MaxUint32 - 1, 0, 0}, {"a", 2, 0, 3}}},
		{"twice", []step{{"a", 7, 0, 0}, {"a", 7, 0, 0}, {"a", 8, 0, 0}}},
		{"from the past", []step{{"a", 7, 0, 0}, {"a", 5, 0, 0}, {"a", 8, 0, 0}}},
		{"the longest gap", []step{{"a", 0, 0, 0}, {"a", 1<<31 - 1, 0, 1<<31 - 2}}},
		{"replayed ones leave no gap", []step{{"a", 7, 0, 0}, {"a", 20, 0, 12}, {"a", 8, wire.Historical, 0}, {"a", 15, wire.Historical, 0}, {"a", 21, 0, 0}}},
		{"replayed ones come first", []step{{"a", 3, wire.Historical, 0}, {"a", 7, 0, 0}}},
		{"conflated ones stand for what is missing", []step{{"a", 7, 0, 0}, {"a", 9, wire.Conflated, 1}, {"a", 12, wire.Conflated, 2}}},
		{"zero is a number", []step{{"a", 0, 0, 0}, {"a", 1, 0, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s sequences
			s.begin("e1")
			for i, step := range tt.steps {
				if got := s.see(step.name, wire.Record{Seq: step.seq, Flags: step.flags}); got != step.want {
					t.Errorf("step %d: %d missed, want %d", i, got, step.want)
				}
			}
		})
	}
}

func TestSequencesOverConnections(t *testing.T) {
	var s sequences
	s.begin("e1")
	s.see("a", wire.Record{Seq: 7})
	s.begin("e1")
	if got := s.see("a", wire.Record{Seq: 10}); got != 2 {
		t.Errorf("same epoch: %d missed, want 2", got)
	}
	s.begin("e2")
	if got := s.see("a", wire.Record{Seq: 500}); got != 0 {
		t.Errorf("new epoch: %d missed, want 0", got)
	}
}
