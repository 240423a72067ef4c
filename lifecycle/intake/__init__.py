"""Wire formats in, events or problems out: pure, with the policy and the time handed in."""
