"""What a long run has come to, kept in the folder of its findings until they are whole.

`folder` has the stages of a run, when they are written and when they count; `snapshot` a value in a file.
"""
