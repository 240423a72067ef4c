"""Why is this customer where she is, why did she (not) get that message, what happens next and when?

Her history is folded once more from the beginning, and joined with what was recorded. The same is
told of a past moment, and of a policy as if it had always been in force.

`gather` has the door, `explain`. Nothing is imported here: most who come need but the words.
"""
