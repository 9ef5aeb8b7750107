"""Links to the hosted form, by which the users of a workspace connect their accounts themselves."""
