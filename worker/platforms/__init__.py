"""The platforms that workers can connect to; `base` says what each must do."""
