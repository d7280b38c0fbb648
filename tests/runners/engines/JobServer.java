import org.apache.beam.runners.flink.FlinkJobServerDriver;

/**
 * Beam's job server for Flink, without the upload of its own class path (167 MB, 11 to 14 s) with every job. It looks for the jars
 * to upload in this property. The cluster's processes have all of them on their own class path.
 */
class JobServer {
  public static void main(String[] arguments) throws Exception {
    System.setProperty("java.class.path", "");
    FlinkJobServerDriver.main(arguments);
  }
}
