"""What can be learnt from many histories: pure computations on counts, without any I/O."""
