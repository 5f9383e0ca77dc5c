import javax.management.ObjectName;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/** Prints how many requests of each kind a broker has answered, one "kind count" a line. */
public class RequestCounts {
    public static void main(String[] arguments) throws Exception {
        var url = "service:jmx:rmi:///jndi/rmi://127.0.0.1:" + arguments[0] + "/jmxrmi";
        try (var connector = JMXConnectorFactory.connect(new JMXServiceURL(url))) {
            var broker = connector.getMBeanServerConnection();
            var name = new ObjectName("kafka.network:type=RequestMetrics,name=RequestsPerSec,*");
            for (var bean : broker.queryNames(name, null)) {
                System.out.println(bean.getKeyProperty("request") + " " + broker.getAttribute(bean, "Count"));
            }
        }
    }
}
