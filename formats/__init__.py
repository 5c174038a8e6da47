"""What is stored of a person, in forms that others read: FHIR, Open mHealth, CSV, a package."""
