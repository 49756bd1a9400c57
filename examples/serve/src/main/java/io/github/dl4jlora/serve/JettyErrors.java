package io.github.dl4jlora.serve;

import jakarta.servlet.http.HttpServletRequest;
import org.eclipse.jetty.http.HttpFields;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.http.HttpStatus;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.handler.ErrorHandler;

import jakarta.servlet.http.HttpServletResponse;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Reports errors of requests that do not reach a route, in the same form as all others. */
final class JettyErrors extends ErrorHandler {

    @Override
    public ByteBuffer badMessageError(int status, String reason, HttpFields.Mutable fields) {
        fields.put(HttpHeader.CONTENT_TYPE, Body.JSON);
        return ByteBuffer.wrap(json(status, reason).getBytes(StandardCharsets.UTF_8));
    }

    @Override
    protected void generateAcceptableResponse(Request base, HttpServletRequest request, HttpServletResponse response, int code,
                                              String message) throws IOException {
        response.setContentType(Body.JSON);
        // Jetty refuses requests once it is stopping, before they reach the service, which would set the same headers.
        boolean isStopping = code == HttpStatus.SERVICE_UNAVAILABLE_503;
        if (isStopping) {
            response.setHeader(HttpHeader.RETRY_AFTER.asString(), Problem.RETRY_AFTER);
        }
        if (isStopping || Answers.isInChunks(request)) {
            response.setHeader(HttpHeader.CONNECTION.asString(), "close");
        }
        response.getOutputStream().write(json(code, message).getBytes(StandardCharsets.UTF_8));
        base.setHandled(true);
    }

    private static String json(int status, String reason) {
        return new Problem(status, null, reason == null ? HttpStatus.getMessage(status) : reason).json();
    }
}
