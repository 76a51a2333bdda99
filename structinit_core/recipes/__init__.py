"""One public function per command: the whole path from inputs to a published output.

Nothing is imported here, so that counting does not wait for torch and transformers.
"""
