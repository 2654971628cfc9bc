"""The clients of AWS services. Only this folder and `steps` may call AWS."""
