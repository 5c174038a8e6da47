"""From bytes to rows, elements, numbers and instants: what formats have in common."""
