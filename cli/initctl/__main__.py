"""``python -m initctl``."""

from initctl.app import main

main()
