"""FHIR R4 (https://hl7.org/fhir/R4/): a person's data as a Bundle that other systems read."""
