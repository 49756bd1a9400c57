package io.github.dl4jlora.report.page;

import org.deeplearning4j.core.storage.Persistable;
import org.deeplearning4j.core.storage.StatsStorage;
import org.deeplearning4j.core.storage.StatsStorageEvent;
import org.deeplearning4j.core.storage.StatsStorageListener;
import org.deeplearning4j.ui.api.Route;
import org.deeplearning4j.ui.api.UIModule;
import org.deeplearning4j.ui.api.UIServer;
import org.deeplearning4j.ui.i18n.I18NResource;
import org.deeplearning4j.ui.model.stats.StatsListener;
import org.deeplearning4j.ui.model.stats.api.StatsInitializationReport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;

/**
 * Opens DL4J's training pages on the adapted network, as soon as its training begins. By themselves they stay on the session that
 * began first, which is the base's, until somebody chooses another. Nobody calls it: DL4J's server finds it on the class path,
 * and hands it what {@link AdapterStatsListener} reports.
 */
public final class AdaptedFirst implements UIModule {

    private static final Logger LOG = LoggerFactory.getLogger(AdaptedFirst.class);

    private final HttpClient client = HttpClient.newHttpClient();

    @Override
    public List<String> getCallbackTypeIDs() {
        return List.of(StatsListener.TYPE_ID);
    }

    @Override
    public List<Route> getRoutes() {
        return List.of();
    }

    /** DL4J's own module comes first in the server's list, so it knows the session by now. */
    @Override
    public void reportStorageEvents(Collection<StatsStorageEvent> events) {
        events.stream().filter(event -> event.getEventType() == StatsStorageListener.EventType.PostStaticInfo)
                .filter(AdaptedFirst::isAdapted).map(StatsStorageEvent::getSessionID).forEach(this::open);
    }

    private static boolean isAdapted(StatsStorageEvent event) {
        Persistable info = event.getStatsStorage().getStaticInfo(event.getSessionID(), event.getTypeID(), event.getWorkerID());
        return info instanceof StatsInitializationReport report
                && Arrays.stream(report.getModelParamNames()).anyMatch(AdapterStatsListener::isOfAdapter);
    }

    /** Selects the session as the page's own selector does; the server has no other interface for that. */
    private void open(String session) {
        if (UIServer.getInstance().isMultiSession()) {
            return;
        }
        try {
            String path = URLEncoder.encode(session, StandardCharsets.UTF_8).replace("+", "%20");
            URI uri = URI.create(UIServer.getInstance().getAddress() + "/train/sessions/set/" + path);
            client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.discarding());
        } catch (IOException e) {
            LOG.warn("The training pages do not open on {} by themselves: choose it at the top right ({})", session,
                    e.getMessage());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void onAttach(StatsStorage storage) {
        // Nothing is trained before the server starts.
    }

    @Override
    public void onDetach(StatsStorage storage) {
        // Nothing is kept.
    }

    @Override
    public List<I18NResource> getInternationalizationResources() {
        return List.of();
    }
}
