"""Beam wrapper of this room: finished files read again, by many workers."""

from dataclasses import dataclass

import apache_beam as beam

from transforms.files.refs import CheckRecord, check_files


@dataclass
class CheckFiles(beam.PTransform):
    """CheckTask → CheckRecord: which files do not have the bytes that they were recorded with."""

    def expand(self, tasks: beam.PCollection) -> beam.PCollection:
        """Read the files of each task."""
        return tasks | "ReadFiles" >> beam.Map(check_files).with_output_types(CheckRecord)
