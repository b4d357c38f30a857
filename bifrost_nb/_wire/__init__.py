"""What crosses the wire, without I/O: requests (strict), answers (lenient, gateway 1.3 to 2.x), event streams."""
