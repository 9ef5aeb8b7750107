"""What accounts belong to: workspaces and their profiles, as their holders read and change them."""
