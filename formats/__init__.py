"""Export formats for a person's data: FHIR, Open mHealth, CSV, and an encrypted package."""
