"""The cell's thread: waiting for the private loop with interrupts, pumping widget messages, is a person watching?"""
